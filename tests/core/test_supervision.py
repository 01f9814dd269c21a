"""Supervisors as decisions (semantics G): any story, told to the core and to a naive model of OTP's rules."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorq.core.children import MOVES
from actorq.core.reporting import failure, line, one_line
from actorq.core.restarting import counted, never_gives_up, patience, pause
from actorq.core.supervision import (
    Action,
    Add,
    Ask,
    Cancel,
    Configure,
    Ending,
    Event,
    Exited,
    Ready,
    Remove,
    Report,
    Restart,
    Start,
    State,
    Stop,
    Tick,
    boot,
    step,
    wake_at,
)
from actorq.errors import RestartIntensityExceeded, SupervisionError
from actorq.model.supervision import Backoff, ChildSpec, SupervisorSpec
from tests.core.supervisor_model import Model, Said

STEPS = 50
BACKOFF = Backoff(initial=0.5, factor=2.0, max=4.0, jitter=0.0)
PAUSES = (0.0, 0.25, 0.5, 1.0, 2.25, 5.0, 0.5, 0.25)
BOOM = ValueError("boom")

specs = st.builds(
    SupervisorSpec,
    name=st.just("sup"),
    strategy=st.sampled_from(["one_for_one", "rest_for_one", "one_for_all"]),
    max_restarts=st.sampled_from([3, 0, 1, 2, 8, 1000]),
    within=st.sampled_from([5.0, 1.0, 60.0]),
    backoff=st.just(BACKOFF),
    auto_shutdown=st.sampled_from(["never", "any", "all"]),
)
kinds = st.tuples(
    st.sampled_from(["permanent", "permanent", "transient", "temporary"]),
    st.booleans(),
    st.sampled_from([2.0, 0.0, math.inf]),
)


def child(name: str, restart: str = "permanent", significant: bool = False, stop_timeout: float = 2.0) -> ChildSpec:
    return ChildSpec(name=name, restart=restart, significant=significant, stop_timeout=stop_timeout)  # type: ignore[arg-type]


class Story:
    """One supervisor's life, in the core and in the model side by side; what is wrong is asserted at every step."""

    def __init__(self, spec: SupervisorSpec, children: list[ChildSpec], now: float = 0.0) -> None:
        self.now, self.spec = now, spec
        self.state = boot(spec, tuple(children))
        self.model = Model(spec, children)
        self.live: dict[str, tuple[int, int, float | None]] = {}  # generation, failures, ready since
        self.asked: set[str] = set()
        self.past: list[tuple[str, int]] = []
        self.restarted: list[float] = []
        self.ordered: set[str] = set()
        self.added = 0
        self.tell(Tick())

    def tell(self, event: Event) -> None:
        """One event to both; the same must follow."""
        before = self.state
        self.state, actions = step(before, event, self.now)
        assert sorted(map(str, map(said, actions))) == sorted(map(str, self.model.due(self.now)))
        for action in actions:
            self._check(before, action)
        assert step(self.state, Tick(), self.now) == (self.state, ())
        assert wake_at(self.state, self.now) > self.now
        assert self.state.over == (self.model.why != "" and not self.model.alive)
        assert self.state.booted == self.model.booted
        if self.state.ending is not None:
            assert self.state.ending.why == self.model.why

    def _check(self, before: State, action: Action) -> None:
        ordered = self.state.ending is not None or self.state.spec.strategy != "one_for_one"
        match action:
            case Start(name, generation, failures):
                assert before.ending is None
                assert self.state.ending is None
                assert name not in self.live
                assert self._spec(name).restart != "temporary" or name in self.ordered or not self._ran(name)
                assert not ordered or not self.asked
                self.ordered.discard(name)
                self.live[name] = generation, failures, None
                self.past.append((name, generation))
            case Ask(name):
                assert name in self.live
                assert not ordered or not self.asked & set(self._after(name))
                self.asked.add(name)
            case Cancel(name):
                assert name in self.asked
            case Report(name, what):
                if what == "stuck":
                    self._gone(name)
                if what == "restarting":
                    self.restarted.append(self.now)
                    window = [at for at in self.restarted if at >= self.now - self.state.spec.within]
                    assert len(window) <= self.state.spec.max_restarts

    def _spec(self, name: str) -> ChildSpec:
        known = self.state.child(name)
        assert known is not None
        return known.spec

    def _ran(self, name: str) -> bool:
        return any(name == other for other, _ in self.past)

    def _after(self, name: str) -> list[str]:
        names = [child.spec.name for child in self.state.children]
        return names[names.index(name) + 1 :] if name in names else []

    def _gone(self, name: str) -> None:
        del self.live[name]
        self.asked.discard(name)

    # ---- what may happen

    def ready(self, index: int) -> None:
        starting = [name for name, (_, _, since) in self.live.items() if since is None]
        if not starting:
            return self.wake(index)
        name = starting[index % len(starting)]
        generation, failures, _ = self.live[name]
        self.live[name] = generation, failures, self.now
        self.model.ready(name, generation, self.now)
        return self.tell(Ready(name, generation))

    def fail(self, index: int) -> None:
        self._exit(self._someone(index), index, BOOM)

    def end(self, index: int) -> None:
        self._exit(self._someone(index), index, None)

    def leave(self, index: int) -> None:
        self._exit(sorted(self.asked), index, None)

    def _someone(self, index: int) -> list[str]:
        """Mostly one that is up: whose first start fails ends the story."""
        up = [name for name, (_, _, since) in self.live.items() if since is not None]
        return sorted(self.live) if index % 16 == 7 else up

    def _exit(self, names: list[str], index: int, error: Exception | None) -> None:
        if not names:
            return self.wait(index)
        name = names[index % len(names)]
        generation, failures, since = self.live[name]
        up = None if since is None else self.now - since
        setback = patience(BACKOFF, failures, 0.7).after(up)
        self._gone(name)
        self.model.ended(name, generation, error is not None, self.now)
        return self.tell(Exited(name, generation, error, setback))

    def late(self, index: int) -> None:
        gone = [place for place in self.past if self.live.get(place[0], (0,))[0] != place[1]]
        if not gone:
            return self.wait(index)
        before, (name, generation) = self.state, gone[index % len(gone)]
        self.tell(Ready(name, generation) if index % 2 else Exited(name, generation, BOOM))
        assert self.state == before
        return None

    def wait(self, index: int) -> None:
        self.now += PAUSES[index % len(PAUSES)]
        self.tell(Tick())

    def wake(self, index: int) -> None:
        at = wake_at(self.state, self.now)
        if at == math.inf:
            return self.wait(index)
        self.now = at
        return self.tell(Tick())

    def order(self, index: int) -> None:
        names = [child.spec.name for child in self.state.children]
        if not names:
            return self.wait(index)
        what, name = index % 4, names[index // 4 % len(names)]
        if what == 0:
            self.model.remove(name)
            return self.tell(Remove(name))
        if what == 1:
            self.added += 1
            fresh = name if index % 3 else f"new{self.added}"
            spec = child(fresh, ("permanent", "temporary", "transient")[index // 16 % 3])
            known = self.state.child(fresh)
            if known is None or known.phase == "ended":
                self.past = [place for place in self.past if place[0] != fresh]
            self.model.add(spec)
            return self.tell(Add(spec))
        if what == 2 and index > 200:
            strategy = ("one_for_one", "rest_for_one", "one_for_all")[index % 3]
            spec = self.model.spec = replaced(self.spec, strategy)
            return self.tell(Configure(spec))
        self.ordered.add(name)
        self.model.restart(name, self.now)
        return self.tell(Restart(name))

    def stop(self, index: int) -> None:
        if index > 60:
            return self.wait(index)
        self.model.stop()
        return self.tell(Stop())

    # ---- how it ends

    def settle(self, behave: Callable[[], bool]) -> None:
        """Everybody does as is expected until nothing is left to do: that must come."""
        for _ in range(200):
            if not behave():
                return
        raise AssertionError(f"never at rest: {self.state}")

    def kindly(self) -> bool:
        if self.asked:
            self.leave(0)
        elif any(since is None for _, _, since in self.live.values()):
            self.ready(0)
        elif wake_at(self.state, self.now) < math.inf:
            self.wake(0)
        else:
            return False
        return True

    def stubbornly(self) -> bool:
        if (stays := [name for name in self.asked if self._spec(name).stop_timeout == math.inf]):
            self._exit(stays, 0, BOOM)
        elif wake_at(self.state, self.now) < math.inf:
            self.wake(0)
        else:
            return False
        return True


def replaced(spec: SupervisorSpec, strategy: str) -> SupervisorSpec:
    return SupervisorSpec(
        name=spec.name, strategy=strategy, max_restarts=spec.max_restarts, within=spec.within,  # type: ignore[arg-type]
        backoff=spec.backoff, auto_shutdown=spec.auto_shutdown,
    )  # fmt: skip


def said(action: Action) -> Said:
    match action:
        case Start(name, generation, failures):
            return "start", name, generation, failures
        case Ask(name):
            return "ask", name
        case Cancel(name):
            return "cancel", name
        case Report(name, "restarting", _, count, delay):
            return "restarting", name, count, delay
        case Report(name, what):
            return what, name


MOST = (
    Story.ready, Story.ready, Story.ready, Story.ready, Story.fail, Story.fail, Story.fail, Story.end, Story.leave,
    Story.leave, Story.wait, Story.wake, Story.wake, Story.late, Story.order, Story.stop,
)  # fmt: skip
SEEN: Counter[str] = Counter()


@settings(max_examples=2_000)
@given(specs, st.lists(kinds, min_size=1, max_size=4), st.binary(min_size=2 * STEPS, max_size=2 * STEPS))
def test_any_story_goes_as_in_the_model(
    spec: SupervisorSpec, kinds: list[tuple[str, bool, float]], script: bytes
) -> None:
    """G: 50 things happen to a supervisor; core and model agree on all that follows, and it always comes to rest."""
    children = [child(f"c{number}", *kind) for number, kind in enumerate(kinds)]
    story = Story(spec, children)
    for what, index in zip(script[::2], script[1::2], strict=True):
        if story.state.over:
            story = Story(spec, children, story.now)
        happens = MOST[what % len(MOST)]
        SEEN[happens.__name__] += 1
        happens(story, index)
    story.settle(story.kindly)
    if story.state.ending is None:
        assert {child.phase for child in story.state.children} <= {"running", "ended"}
        assert story.state.booted
    story.model.stop()
    story.tell(Stop())
    story.settle(story.stubbornly)
    assert story.state.over
