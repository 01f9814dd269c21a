"""From a call and its options to the envelope (C-1, I-17, J-2)."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.compose import begins_at, compose
from actorq.errors import UsageError
from actorq.model.envelope import Envelope
from actorq.model.options import NO_LIMIT, NO_OPTIONS, SendOptions
from actorq.model.retry import Retry

NOW = 1_000.0
moments = st.none() | st.floats(0, 5_000)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class Day(enum.Enum):
    ONE = 1


def made(options: SendOptions = NO_OPTIONS, parent: Envelope | None = None, **more: Any) -> Envelope:
    return compose("add", (1,), {"b": 2}, options, task_id="t", now=NOW, default_ttl=60.0, parent=parent, **more)


def test_a_plain_call() -> None:
    assert made() == Envelope(id="t", root="t", to="add", args=(1,), kwargs={"b": 2}, reply=60.0)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        (SendOptions(result_ttl=5.0), "reply", 5.0),
        (SendOptions(ignore_result=True, result_ttl=5.0), "reply", None),
        (SendOptions(time_limit=7.0), "time_limit", 7.0),
        (SendOptions(time_limit=NO_LIMIT), "time_limit", -1.0),
        (SendOptions(expires=10.0), "expires", NOW + 10),
        (SendOptions(expires=10.0, start=100.0), "expires", NOW + 110),
        (SendOptions(expires=10.0, start=at(3_000)), "expires", 3_010.0),
        (SendOptions(expires=at(2_000), start=100.0), "expires", 2_000.0),
        (SendOptions(deadline=10.0, start=100.0), "deadline", NOW + 10),
        (SendOptions(deadline=at(2_000)), "deadline", 2_000.0),
        (SendOptions(retry=Retry(no_retry=(ValueError,))), "retry", Retry(no_retry=("ValueError",))),
        (SendOptions(meta={"user": 7}), "meta", {"user": 7}),
        (SendOptions(meta={"day": Day.ONE, "all": [Day.ONE]}), "meta", {"day": 1, "all": [1]}),
    ],
)
def test_what_each_option_becomes(options: SendOptions, field: str, value: object) -> None:
    assert getattr(made(options), field) == value


def test_metadata_that_cannot_travel_is_named() -> None:
    with pytest.raises(UsageError, match=r"^options: meta\['a'\]\[1\]: object cannot travel: send "):
        made(SendOptions(meta={"a": [0, object()]}))


def test_a_repeat_says_so() -> None:
    assert made(repeat=True).repeat


def test_a_child_inherits_what_belongs_to_the_work_and_not_to_the_attempt() -> None:
    parent = Envelope(
        id="p", root="r", to="x", attempt=3, repeat=True, leases_lost=2, expires=1.0, time_limit=2.0,
        retry=Retry(), reply=3.0, trace={"traceparent": "tp"}, meta={"user": 7, "a": 1},
    )  # fmt: skip
    child = made(SendOptions(meta={"a": 2}), parent)
    assert child == Envelope(
        id="t", root="t", parent="p", to="add", args=(1,), kwargs={"b": 2}, reply=60.0, trace={"traceparent": "tp"},
        meta={"user": 7, "a": 2},
    )  # fmt: skip


@given(moments, moments)
def test_of_two_deadlines_the_earlier_counts(own: float | None, inherited: float | None) -> None:
    parent = Envelope(id="p", to="x", deadline=inherited)
    found = made(SendOptions(deadline=None if own is None else own - NOW), parent).deadline
    assert found == pytest.approx(min((d for d in (own, inherited) if d is not None), default=None))


@pytest.mark.parametrize(("start", "moment"), [(None, None), (0.0, NOW), (5.0, NOW + 5), (at(3_000), 3_000.0)])
def test_when_a_task_begins(start: float | datetime | None, moment: float | None) -> None:
    assert begins_at(SendOptions(start=start), NOW) == moment
