"""How often and after how long a child is restarted (G-4, G-6, G-7), and what is said of it."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.reporting import failure, one_line
from actorq.core.restarting import counted, never_gives_up, patience, pause
from actorq.core.supervision import Ending, Exited, Report, Start, Tick, boot, step, wake_at
from actorq.errors import SupervisionError
from actorq.model.supervision import Backoff, ChildSpec, SupervisorSpec

ROOT = SupervisorSpec(name="root")
BOOM = ValueError("boom")

seconds = st.floats(0.001, 100.0)
backoffs = st.builds(
    Backoff, initial=seconds, factor=st.floats(1.0, 10.0), max=st.floats(100.0, 1_000.0), jitter=st.floats(0.0, 0.5)
)
draws = st.floats(0.0, 1.0, exclude_max=True)
counts = st.integers(0, 100_000)


@given(backoffs, counts)
def test_pauses_grow_up_to_their_maximum(backoff: Backoff, failures: int) -> None:
    """G-6: initial * factor ** n, never more than max, also for a child that fails for years."""
    assert pause(backoff, 0) == backoff.initial
    assert backoff.initial <= pause(backoff, failures) <= pause(backoff, failures + 1) <= backoff.max


@given(backoffs, counts, draws)
def test_jitter_stays_within_its_part(backoff: Backoff, failures: int, draw: float) -> None:
    """G-6: a delay is lengthened or shortened by at most ``jitter`` of it."""
    soon = patience(backoff, failures, draw).after(0.0).delay
    assert abs(soon / pause(backoff, failures) - 1) <= backoff.jitter + 1e-9
    assert patience(backoff, failures, 0.5).after(None).delay == pause(backoff, failures)


def test_having_stayed_up_resets_the_backoff() -> None:
    """G-6: from (initial + max) / 2 seconds on; a start that never succeeded is no rest, however long it took."""
    waits = patience(Backoff(initial=1.0, factor=2.0, max=9.0, jitter=0.0), 3, 0.5)
    assert [waits.after(up).delay for up in (None, 0.0, 4.99, 5.0, 1e9)] == [8.0, 8.0, 8.0, 1.0, 1.0]
    assert [waits.after(up).rested for up in (None, 4.99, 5.0)] == [False, False, True]


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(0, 50))
def test_the_window_slides_and_includes_both_ends(times: list[int], within: int) -> None:
    """G-4: what was counted at any moment is what lies in the seconds before, to the second."""
    restarts: tuple[float, ...] = ()
    for number, now in enumerate(sorted(times)):
        restarts = counted(restarts, now, within)
        assert list(restarts) == [at for at in sorted(times)[: number + 1] if now - within <= at <= now]


@given(st.integers(0, 12), st.floats(0.1, 60.0), seconds, st.floats(1.0, 3.0))
def test_the_warning_is_right(max_restarts: int, within: float, initial: float, factor: float) -> None:
    """G-7: it is given if, and only if, a child that always fails at once is never given up."""
    backoff = Backoff(initial=initial, factor=factor, max=200.0, jitter=0.0)
    spec = SupervisorSpec(name="root", max_restarts=max_restarts, within=within, backoff=backoff)
    assert (never_gives_up(spec) is None) == _gives_up(spec)


def _gives_up(spec: SupervisorSpec) -> bool:
    """Whether a child whose starts all fail, after the first, is given up in its first restarts (later ones wait
    longer)."""
    state, now = boot(spec, (ChildSpec(name="a"),)), 0.0
    state = dataclasses.replace(state, children=(dataclasses.replace(state.children[0], fresh=False),))
    state, actions = step(state, Tick(), now)
    for _ in range(spec.max_restarts + 1):
        (start,) = [action for action in actions if isinstance(action, Start)]
        setback = patience(spec.backoff, start.failures, 0.5).after(None)
        state, actions = step(state, Exited("a", start.generation, BOOM, setback), now)
        if state.over:
            return True
        assert isinstance(actions[0], Report)
        now = wake_at(state, now)
        state, actions = step(state, Tick(), now)
    return False


def test_the_warning_says_what_to_do() -> None:
    """G-7: with the defaults there is none; many restarts allowed are no reason to compute for hours."""
    assert never_gives_up(ROOT) is None
    patient = dataclasses.replace(ROOT, backoff=Backoff(initial=2.0, jitter=0.0))
    assert never_gives_up(patient) == (
        "a child that always fails is restarted for ever: 3 restarts wait 14 s together, more than within = 5 s; raise "
        "within, or lower max_restarts or the backoff"
    )
    assert never_gives_up(dataclasses.replace(ROOT, max_restarts=10**12)) is not None
    assert never_gives_up(dataclasses.replace(ROOT, max_restarts=10**12, within=math.inf)) is None


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_errors_are_told_in_one_line() -> None:
    """A child's error may say nothing, too much, or raise when it is asked."""
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(ValueError()) == "ValueError"
    assert one_line(SupervisionError("root/a gave up")) == "root/a gave up"
    assert one_line(Broken()).startswith(f"{__name__}.Broken")


def test_how_a_supervisor_ends() -> None:
    """G-4, G-8: without an error, or with one that names the child that did not fail but end too often."""
    assert failure("root", ROOT, Ending("stopped")) is None
    assert failure("root", ROOT, Ending("done")) is None
    error = failure("root", ROOT, Ending("gave up", "a", None, 4))
    assert "4 failures within 5 s, more than max_restarts = 3; the last: root/a (ended): correct it" in str(error)


@pytest.mark.parametrize("error", [BOOM, None])
def test_a_first_start_that_fails_is_told_with_its_place(error: Exception | None) -> None:
    """G-2: the error says which child could not be started."""
    failed = failure("root", ROOT, Ending("not started", "a", error))
    assert failed is not None
    assert failed.path == "root/a"
    assert failed.__cause__ is error
