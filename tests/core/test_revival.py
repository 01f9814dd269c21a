"""Which dead letters are meant, and what reviving one comes to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.codec import decode_envelope, encode_envelope
from actorq.core.ids import make_id
from actorq.core.revival import Ended, Filters, Hopeless, Revive, revival, to_retrying
from actorq.model.address import Mailbox, Namespace
from actorq.model.envelope import DeadLetter, Envelope, Record

NAMES = Namespace("aq-shop")
ID = make_id(1_000.0, 7, "abcdef")
LETTER = DeadLetter(
    id=ID, actor="geo.locate", queue="maps", reason="retries_exhausted", error="shop.db.PoolBroken", at=100.0
)


def letter(task_id: str = ID, *, subject: str = "aq-shop.t.maps.2.geo.k", to: str = "geo", **fields: Any) -> DeadLetter:
    body = encode_envelope(Envelope(id=task_id, to=to, **fields))
    return DeadLetter(id=task_id, actor=to, queue="maps", reason="crash_loop", subject=subject, envelope=body)


def planned(given: DeadLetter, record: Record | None = None, now: float = 50.0) -> Revive:
    plan = revival(given, record, now)
    assert isinstance(plan, Revive)
    return plan


@pytest.mark.parametrize(
    "filters",
    [
        Filters(), Filters(id=ID), Filters(actor="geo"), Filters(actor="geo.locate"), Filters(queue="maps"),
        Filters(error="PoolBroken"), Filters(error="db.PoolBroken"), Filters(error="shop.db.PoolBroken"),
        Filters(reason="retries_exhausted"), Filters(since=100.0), Filters(until=100.0),
        Filters(actor="geo", error="PoolBroken", since=99.0, until=101.0),
    ],
)  # fmt: skip
def test_a_letter_fits_what_it_has(filters: Filters) -> None:
    assert filters.fit(LETTER)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(id="other"), Filters(actor="ge"), Filters(actor="geo.other"), Filters(actor="locate"),
        Filters(queue="map"), Filters(error="Broken"), Filters(error="PoolBroken.x"), Filters(reason="expired"),
        Filters(since=100.1), Filters(until=99.9), Filters(actor="geo", queue="other"),
    ],
)  # fmt: skip
def test_a_letter_fits_nothing_else(filters: Filters) -> None:
    assert not filters.fit(LETTER)


def test_filters_narrow_the_subject() -> None:
    assert Filters().subject(NAMES) == "aq-shop.d.*.*.*"
    assert Filters(actor="geo.locate", queue="maps", error="E").subject(NAMES) == "aq-shop.d.maps.geo.*"
    assert Filters(id="T1").subject(NAMES) == "aq-shop.d.*.*.T1"


def test_a_revived_task_begins_anew() -> None:
    """First attempt, full crash budget, without the expiry that it missed; all else is as it was sent."""
    sent = letter(
        args=(1, "a"), kwargs={"k": 2}, meta={"m": 1}, attempt=4, leases_lost=5, expires=40.0, deadline=60.0,
        time_limit=3.0, reply=9.0, frames=("f",), root="R", parent="P", extra={"later": 1},
    )  # fmt: skip
    plan = planned(sent)
    expected = Envelope(
        id=ID, to="geo", root="R", parent="P", args=(1, "a"), kwargs={"k": 2}, meta={"m": 1}, generation=1, repeat=True,
        deadline=60.0, time_limit=3.0, reply=9.0, frames=("f",), extra={"later": 1},
    )  # fmt: skip
    assert plan == Revive(expected, Mailbox("maps", 2, "geo"), f"{ID}.g1")
    assert decode_envelope(encode_envelope(plan.envelope)) == expected


def test_a_deadline_that_has_passed_is_dropped() -> None:
    assert planned(letter(deadline=50.0), now=50.0).envelope.deadline is None
    assert planned(letter(deadline=50.1), now=50.0).envelope.deadline == 50.1


def test_a_letter_without_a_subject_goes_to_its_queue() -> None:
    assert planned(letter(subject="")).mailbox == Mailbox("maps", 0, "geo")


@pytest.mark.parametrize(
    "given",
    [
        DeadLetter(id=ID, actor="geo", queue="maps", reason="undecodable", envelope=b"\xc1"),
        letter(to="other"),
    ],
)
def test_what_cannot_be_run_is_hopeless(given: DeadLetter) -> None:
    plan = revival(given, None, 0.0)
    assert isinstance(plan, Hopeless)
    assert "send the task again" in plan.why


@pytest.mark.parametrize("state", ["succeeded", "cancelled", "replaced"])
def test_a_task_that_has_ended_otherwise_is_not_revived(state: str) -> None:
    """A later generation proves that the letter is stale; an id that a user gave proves nothing."""
    for task_id, generation, stale in ((ID, 1, True), (ID, 0, False), ("nightly", 1, False)):
        record = Record(id=task_id, state=state, generation=generation)
        assert revival(letter(task_id), record, 0.0) == Ended(record, stale=stale)


@given(own=st.integers(0, 5), state=st.sampled_from(["failed", "expired", "retrying"]), generation=st.integers(0, 5))
def test_a_copy_is_never_overruled_by_the_record_that_was_read(own: int, state: str, generation: int) -> None:
    """Nor is the generation of its letter used twice; what was begun by another is taken up, not begun anew."""
    record = Record(id=ID, state=state, generation=generation)
    again = planned(letter(generation=own), record).envelope.generation
    assert again > own
    assert again >= generation if state == "retrying" else again > generation
    assert again == (max(own + 1, generation) if state == "retrying" else max(own, generation) + 1)


def test_a_failure_stands_no_longer_and_nothing_else_is_touched() -> None:
    failed = Record(id="T", state="failed", generation=1, attempts=3)
    assert to_retrying(failed, 2, 9.0) == Record(id="T", state="retrying", generation=2, attempts=3, at=9.0)
    assert to_retrying(failed, 1, 9.0) is None
    for record in (None, *(Record(id="T", state=state) for state in ("succeeded", "cancelled", "retrying"))):
        assert to_retrying(record, 5, 9.0) is None
