"""The token bucket: never more than burst + rate * t in any t seconds, and never less than the rate in the long run."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.bucket import Bucket
from actorq.model.durations import Rate, rate

RATES = st.builds(Rate, st.floats(0.1, 1_000), st.sampled_from([0.5, 1.0, 60.0]))
PAUSES = st.lists(st.floats(0, 30), max_size=60)


@given(RATES, st.integers(0, 50), PAUSES)
def test_no_window_sees_more_than_burst_and_rate(limit: Rate, burst: int, pauses: list[float]) -> None:
    bucket, taken = Bucket(limit, burst, 0.0), list[float]()
    for now in accumulate(pauses):
        while bucket.take(now):
            taken.append(now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = bucket.burst + (taken[last] - begin) * limit.per_second
            assert last - first + 1 <= allowed + 1e-6 * (1 + allowed)


@given(RATES, st.integers(0, 50))
def test_whoever_waits_as_told_may_take_one(limit: Rate, burst: int) -> None:
    bucket, now = Bucket(limit, burst, 0.0), 0.0
    for _ in range(150):
        now += bucket.wait(now)
        assert bucket.ready(now) >= 1
        assert bucket.take(now)
    assert now <= max(0.0, 150 - bucket.burst) / limit.per_second + 1e-6 * 150


@given(RATES, st.integers(0, 50), st.integers(0, 50))
def test_whoever_wants_more_than_there_are_waits_for_just_one(limit: Rate, burst: int, taken: int) -> None:
    bucket, now = Bucket(limit, burst, 0.0), 0.0
    for _ in range(min(taken, int(bucket.burst))):
        assert bucket.take(now)
    ready = bucket.ready(now)
    while (pause := bucket.more(now)) != math.inf:
        now += pause
        ready += 1
        assert bucket.ready(now) == ready
    assert ready == int(bucket.burst)


def test_it_starts_full_and_keeps_no_more_than_its_burst() -> None:
    bucket = Bucket(rate("10/s", "rate"), 3, 100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.ready(1_000.0) == 3
    assert Bucket(rate("10/s", "rate"), 0, 0.0).ready(0.0) == 10
    assert Bucket(rate("1/5s", "rate"), 0, 0.0).ready(0.0) == 1
    assert Bucket(rate("0.5/s", "rate"), 0, 0.0).ready(0.0) == 1


def test_a_changed_rate_holds_from_then_on() -> None:
    bucket = Bucket(rate("10/s", "rate"), 10, 0.0)
    bucket.change(rate("1/s", "rate"), 2, 0.0)
    assert bucket.ready(0.0) == 2
    assert bucket.take(0.0)
    assert bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(1.0)
    bucket.change(rate("100/s", "rate"), 0, 0.0)
    assert bucket.wait(0.0) == pytest.approx(0.01)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(rate("1/s", "rate"), 1, 10.0)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert bucket.wait(10.0) == pytest.approx(1.0)
