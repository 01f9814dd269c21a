"""The delivery protocol's decisions one by one (D-1, D-2, D-5, D-6); how they play together is tests/model_check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actorq.core.delivery import (
    AckUnrun,
    Copy,
    Held,
    Keep,
    LookRecord,
    Repeat,
    Replace,
    Run,
    after_newer,
    after_record,
    after_reissue_refused,
    last_delivery,
    lost_leases,
    must_look,
    must_record,
    over_budget,
    record_refused,
    reissue,
)
from actorq.model.envelope import Envelope, Record

TERMINAL = ("succeeded", "failed", "cancelled", "expired", "replaced")
OWN = Held("t", sequence=7, generation=1)
SENT = Envelope(id="t", to="actor", generation=1, reply=60.0)

generations = st.integers(0, 3)
held = st.builds(Held, st.just("t"), st.integers(1, 20), generations)
copies = st.none() | st.builds(Copy, st.sampled_from(["t", "other"]), st.integers(1, 20), generations, st.booleans())
records = st.builds(Record, id=st.just("t"), state=st.sampled_from([*TERMINAL, "retrying"]), generation=generations)
envelopes = st.builds(
    Envelope,
    id=st.just("t"),
    to=st.just("actor"),
    attempt=st.integers(1, 5),
    generation=generations,
    repeat=st.booleans(),
    leases_lost=st.integers(0, 6),
    reply=st.none() | st.just(60.0),
    frames=st.sampled_from([(), ("then",)]),
)
deliveries = st.integers(1, 6)


def record(state: str, generation: int) -> Record:
    return Record(id="t", state=state, generation=generation)


@pytest.mark.parametrize(("repeat", "count", "looks"), [(False, 1, False), (True, 1, True), (False, 2, True)])
def test_only_what_may_have_run_before_looks(repeat: bool, count: int, looks: bool) -> None:
    assert must_look(repeat, count) is looks


@pytest.mark.parametrize(
    ("newest", "verdict"),
    [
        (None, LookRecord()),
        (Copy("t", 7), LookRecord()),
        (Copy("t", 6), LookRecord()),
        (Copy("t", 8), AckUnrun()),
        (Copy("other", 8), LookRecord()),
    ],
)
def test_only_a_newer_copy_of_the_same_task_carries_it_on(newest: Copy | None, verdict: AckUnrun | LookRecord) -> None:
    assert after_newer(OWN, newest) == verdict


@pytest.mark.parametrize("state", TERMINAL)
def test_an_ended_task_is_not_run_again_in_its_generation(state: str) -> None:
    assert after_record(OWN, record(state, 1)) == Repeat(record(state, 1))
    assert after_record(OWN, record(state, 2)) == Repeat(record(state, 2))
    assert after_record(OWN, record(state, 0)) == Run()


def test_a_revived_task_is_run_by_its_newest_generation_alone() -> None:
    assert after_record(OWN, None) == Run()
    assert after_record(OWN, record("retrying", 1)) == Run()
    assert after_record(OWN, record("retrying", 2)) == AckUnrun()


@pytest.mark.parametrize(
    ("state", "generation", "verdict"),
    [
        *((state, 1, Repeat) for state in TERMINAL),
        *((state, 2, Repeat) for state in TERMINAL),
        ("succeeded", 0, Repeat),
        ("cancelled", 0, Repeat),
        ("failed", 0, Replace),
        ("expired", 0, Replace),
        ("retrying", 1, Replace),
        ("retrying", 0, Replace),
        ("retrying", 2, AckUnrun),
    ],
)
def test_which_of_two_outcomes_counts(state: str, generation: int, verdict: type) -> None:
    stored = record(state, generation)
    expected = {Repeat: Repeat(stored), Replace: Replace(12), AckUnrun: AckUnrun()}[verdict]
    assert record_refused(OWN, stored, 12) == expected


@given(held, records, st.integers(1, 99))
def test_no_outcome_is_replaced_in_its_own_generation(own: Held, stored: Record, sequence: int) -> None:
    verdict = record_refused(own, stored, sequence)
    if stored.terminal and stored.generation >= own.generation:
        assert verdict == Repeat(stored)
    if isinstance(verdict, Replace):
        assert verdict.sequence == sequence


@given(held, copies, st.none() | records)
def test_a_refused_reissue_looks_as_a_delivery_does(own: Held, newest: Copy | None, stored: Record | None) -> None:
    verdict = after_reissue_refused(own, newest, stored)
    if after_newer(own, newest) == AckUnrun():
        assert verdict == AckUnrun()
    elif after_record(own, stored) == Run():
        assert verdict == Keep()
    else:
        assert verdict == after_record(own, stored)


@given(envelopes, deliveries, st.integers(1, 99), st.booleans(), st.none() | st.floats(1, 1e9))
def test_a_reissue_changes_nothing_but_its_accounts(
    envelope: Envelope, count: int, sequence: int, retry: bool, at: float | None
) -> None:
    plan = reissue(envelope, count, Held("t", sequence, envelope.generation), retry=retry, at=at)
    assert plan.envelope == replace(
        envelope, repeat=True, attempt=envelope.attempt + retry, leases_lost=lost_leases(envelope, count)
    )
    assert (plan.msg_id, plan.expected, plan.at) == (f"t.{sequence}", sequence, at)


@given(st.lists(deliveries, min_size=1, max_size=6))
def test_lost_leases_add_up_over_all_copies_and_handing_back_costs_none(counts: list[int]) -> None:
    envelope = SENT
    for sequence, count in enumerate(counts, 1):
        envelope = reissue(envelope, count, Held("t", sequence, 1)).envelope
    assert envelope.leases_lost == sum(counts) - len(counts)
    assert lost_leases(envelope, 1) == envelope.leases_lost


@given(envelopes, deliveries, st.integers(1, 8))
def test_the_last_delivery_of_the_budget_is_the_one_before_it_is_over(
    envelope: Envelope, count: int, budget: int
) -> None:
    assert over_budget(envelope, count, budget) == (lost_leases(envelope, count) >= budget)
    if last_delivery(envelope, count, budget):
        assert not over_budget(envelope, count, budget)
        assert over_budget(envelope, count + 1, budget)


@pytest.mark.parametrize(
    ("envelope", "count", "written"),
    [
        (SENT, 1, True),
        (replace(SENT, reply=None), 1, False),
        (replace(SENT, reply=None), 2, True),
        (replace(SENT, reply=None, repeat=True), 1, True),
        (replace(SENT, reply=None, frames=("then",)), 1, True),
    ],
)
def test_an_ignored_outcome_is_written_only_where_a_second_one_could_come(
    envelope: Envelope, count: int, written: bool
) -> None:
    assert must_record(envelope, count) is written
