"""Whether and when a failed attempt is made again (F-1, F-4)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.retrying import Again, GiveUp, backoff, decide, named, names_of
from actorq.errors import RemoteError, TimedOut
from actorq.model.retry import Kind, Retry

retries = st.builds(
    Retry,
    max_attempts=st.integers(1, 50),
    initial=st.floats(0, 1e300),
    factor=st.floats(1, 1e300),
    max=st.floats(0, 1e300),
    jitter=st.booleans(),
)
attempts = st.integers(1, 2**31)
draws = st.floats(0, 1, exclude_max=True)


class PoolBroken(ConnectionError):
    pass


@given(retries, attempts, draws)
def test_the_attempts_are_counted(retry: Retry, attempt: int, draw: float) -> None:
    assert isinstance(decide(retry, (), attempt, draw), Again if attempt < retry.max_attempts else GiveUp)


@given(retries, attempts, draws)
def test_a_delay_lies_between_nothing_and_the_largest(retry: Retry, attempt: int, draw: float) -> None:
    whole = backoff(retry, attempt)
    assert 0 <= whole <= retry.max
    match decide(retry, (), attempt, draw):
        case Again(delay, restart):
            assert delay == (whole * draw if retry.jitter else whole)
            assert not restart
        case GiveUp():
            pass


@given(retries, attempts)
def test_the_backoff_never_shrinks(retry: Retry, attempt: int) -> None:
    assert backoff(retry, attempt) <= backoff(retry, attempt + 1)


@given(st.floats(1e-9, 1e9), st.floats(1.001, 1e9), st.floats(0, 1e9), st.integers(2**20, 2**40))
def test_the_backoff_of_a_huge_attempt_is_the_largest(initial: float, factor: float, most: float, attempt: int) -> None:
    assert backoff(Retry(initial=initial, factor=factor, max=most), attempt) == most


def test_the_default_delays() -> None:
    assert [backoff(Retry(), attempt) for attempt in range(1, 13)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


@pytest.mark.parametrize("attempt", [1, 5, 2**40])
def test_without_an_initial_delay_there_is_none(attempt: int) -> None:
    assert backoff(Retry(initial=0, factor=10, max=5), attempt) == 0.0


@pytest.mark.parametrize(
    ("kind", "met"),
    [
        (ValueError, False),
        ("ValueError", False),
        (PoolBroken, True),
        (f"{__name__}.PoolBroken", True),
        ("PoolBroken", False),
        (ConnectionError, True),
        (OSError, True),
        ("OSError", True),
        ("builtins.OSError", True),
        (BaseException, True),
    ],
)
def test_an_exception_is_known_by_the_names_of_its_classes(kind: Kind, met: bool) -> None:
    names = names_of(PoolBroken("gone"))
    for policy in (Retry(no_retry=(kind,)), named(Retry(no_retry=(kind,)))):
        assert decide(policy, names, 1, 0.5) == (GiveUp(restart=False) if met else Again(0.5, restart=False))
    for policy in (Retry(restart_on=(kind,)), named(Retry(restart_on=(kind,)))):
        assert decide(policy, names, 1, 0.5) == Again(0.5, restart=met)
        assert decide(policy, names, 4, 0.5) == GiveUp(restart=met)


def test_what_is_not_retried_may_restart() -> None:
    retry = Retry(no_retry=(OSError,), restart_on=(PoolBroken,))
    assert decide(retry, names_of(PoolBroken()), 1, 0.5) == GiveUp(restart=True)


@pytest.mark.parametrize("kind", [TimedOut, "actorq.errors.TimedOut", "actorq.TimedOut", TimeoutError])
def test_a_time_limit_is_an_exception_like_any_other(kind: Kind) -> None:
    assert decide(Retry(no_retry=(kind,)), names_of(TimedOut("x")), 1, 0.5) == GiveUp(restart=False)


def test_an_error_of_another_task_has_also_the_name_that_it_had_there() -> None:
    error = RemoteError("none left")
    error.type_name = "shop.OutOfStock"
    assert decide(Retry(no_retry=("shop.OutOfStock",)), names_of(error), 1, 0.5) == GiveUp(restart=False)
    assert decide(Retry(no_retry=("shop.Other",)), names_of(error), 1, 0.5) == Again(0.5, restart=False)


def test_a_policy_travels_with_names_for_classes() -> None:
    class Local(Exception):
        pass

    retry = named(Retry(max_attempts=9, initial=0.25, no_retry=(Local, ValueError), restart_on=("builtins.OSError",)))
    assert (retry.max_attempts, retry.initial) == (9, 0.25)
    assert retry.no_retry == (f"{__name__}.{Local.__qualname__}", "ValueError")
    assert retry.restart_on == ("OSError",)


def test_an_infinite_product_is_the_largest_delay() -> None:
    assert backoff(Retry(initial=1e300, factor=1e300, max=7), 2) == 7
    assert math.isfinite(backoff(Retry(initial=1e300, factor=1e10, max=1e308), 3))
