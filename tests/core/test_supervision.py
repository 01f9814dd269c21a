"""Supervisors as decisions (semantics G): any story goes in the core as in a naive model of OTP's rules."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actorq.core.supervision import Stop
from actorq.model.supervision import ChildSpec, SupervisorSpec
from tests.core.supervisor_story import BACKOFF, HAPPENINGS, KINDS, STRATEGIES, Story

EXAMPLES, STEPS = 2_000, 50

specs = st.builds(
    SupervisorSpec,
    name=st.just("sup"),
    strategy=st.sampled_from(STRATEGIES),
    max_restarts=st.sampled_from([3, 0, 1, 2, 8, 1_000]),
    within=st.sampled_from([5.0, 1.0, 60.0]),
    backoff=st.just(BACKOFF),
    auto_shutdown=st.sampled_from(["never", "any", "all"]),
)
children = st.lists(
    st.builds(
        ChildSpec,
        name=st.sampled_from("abcdef"),
        restart=st.sampled_from(KINDS),
        significant=st.booleans(),
        stop_timeout=st.sampled_from([2.0, 0.0, float("inf")]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda child: child.name,
)
# Two bytes for each step: what happens, and to whom.
scripts = st.binary(min_size=2 * STEPS, max_size=2 * STEPS)


@settings(max_examples=EXAMPLES)
@given(specs, children, scripts)
def test_any_story_goes_as_in_the_model(spec: SupervisorSpec, children: list[ChildSpec], script: bytes) -> None:
    """G: whatever happens, core and model agree on all that follows, and everything comes to rest."""
    story = Story(spec, children)
    for what, whom in zip(script[::2], script[1::2], strict=True):
        if story.state.over:
            story = Story(spec, children, story.now)
        HAPPENINGS[what % len(HAPPENINGS)](story, whom)
    story.settle(story.kindly)
    if story.state.ending is None:
        assert story.state.booted
        assert {child.phase for child in story.state.children} <= {"running", "ended"}
    story.model.stop()
    story.tell(Stop())
    story.settle(story.stubbornly)
    assert story.state.over
