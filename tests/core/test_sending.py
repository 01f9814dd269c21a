"""Confirmed sending as a machine (D-7): what it may conclude from the answers that it got."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorq.core.sending import LONGEST_PAUSE, Done, GiveUp, Sending, Taken, TryAgain, Verdict
from actorq.errors import (
    BrokerUnavailable,
    DeliveryUnknown,
    InternalError,
    PermissionDenied,
    StreamFull,
    TransportError,
)
from actorq.model.message import Confirmation, Failed, Refused, Stored

transport_errors = st.sampled_from(
    [TransportError("no"), BrokerUnavailable("gone", subject="s"), StreamFull("full"), PermissionDenied("you may not")]
)
failures = st.builds(Failed, error=transport_errors, unknown=st.booleans(), permanent=st.booleans())
answers = st.one_of(
    st.builds(Stored, sequence=st.integers(1, 100), duplicate=st.booleans()), st.just(Refused()), failures, failures
)
scripts = st.lists(st.tuples(answers, st.floats(0, 3)), min_size=1, max_size=40)
DEADLINE = 15.0


def play(script: list[tuple[Confirmation, float]], *, exclusive: bool) -> list[tuple[Confirmation, float, Verdict]]:
    """Answers in turn, each after some seconds, until the machine is through."""
    machine, now, seen = Sending(exclusive=exclusive), 0.0, list[tuple[Confirmation, float, Verdict]]()
    for answer, took in script:
        now += took
        verdict = machine.after(answer, now, DEADLINE)
        seen.append((answer, now, verdict))
        if not isinstance(verdict, TryAgain):
            break
        now += verdict.after
    return seen


def unknown_before(seen: list[tuple[Confirmation, float, Verdict]], index: int) -> bool:
    return any(isinstance(answer, Failed) and answer.unknown for answer, _, _ in seen[: index + 1])


@given(scripts, st.booleans())
def test_after_an_unknown_answer_every_further_try_is_a_repeat(
    script: list[tuple[Confirmation, float]], exclusive: bool
) -> None:
    seen = play(script, exclusive=exclusive)
    for i, (_, _, verdict) in enumerate(seen):
        if isinstance(verdict, TryAgain):
            assert verdict.repeat == unknown_before(seen, i)


@given(scripts, st.booleans())
def test_no_try_begins_at_or_after_the_deadline(script: list[tuple[Confirmation, float]], exclusive: bool) -> None:
    for _, now, verdict in play(script, exclusive=exclusive):
        if isinstance(verdict, TryAgain):
            assert 0 < verdict.after <= LONGEST_PAUSE
            assert now + verdict.after < DEADLINE


@given(scripts, st.booleans())
def test_giving_up_is_delivery_unknown_exactly_if_it_may_have_been_stored(
    script: list[tuple[Confirmation, float]], exclusive: bool
) -> None:
    seen = play(script, exclusive=exclusive)
    answer, now, verdict = seen[-1]
    if isinstance(verdict, GiveUp):
        assert isinstance(verdict.error, DeliveryUnknown) == unknown_before(seen, len(seen))
        if isinstance(answer, Failed):
            assert answer.permanent or now + LONGEST_PAUSE >= DEADLINE
        else:
            assert isinstance(verdict.error, InternalError)


@given(scripts, st.booleans())
def test_what_was_surely_not_stored_gives_the_brokers_own_reason(
    script: list[tuple[Confirmation, float]], exclusive: bool
) -> None:
    seen = play(script, exclusive=exclusive)
    answer, _, verdict = seen[-1]
    if isinstance(verdict, GiveUp) and isinstance(answer, Failed) and not unknown_before(seen, len(seen)):
        if answer.permanent or isinstance(answer.error, StreamFull | PermissionDenied):
            assert verdict.error is answer.error
        else:
            assert isinstance(verdict.error, BrokerUnavailable)
            assert verdict.error.__cause__ is answer.error


@given(scripts, st.booleans())
def test_a_stored_message_is_done_and_a_duplicate_only_if_somebody_elses(
    script: list[tuple[Confirmation, float]], exclusive: bool
) -> None:
    seen = play(script, exclusive=exclusive)
    for i, (answer, _, verdict) in enumerate(seen):
        if isinstance(answer, Stored):
            assert verdict == Done(answer.sequence, answer.duplicate and not unknown_before(seen, i))


@given(scripts, st.booleans())
def test_a_refusal_means_taken_or_its_own_earlier_try(
    script: list[tuple[Confirmation, float]], exclusive: bool
) -> None:
    seen = play(script, exclusive=exclusive)
    for i, (answer, _, verdict) in enumerate(seen):
        if isinstance(answer, Refused):
            unknown = unknown_before(seen, i)
            if exclusive:
                assert verdict == Taken(perhaps_own=unknown)
            elif unknown:
                assert verdict == Done(0)
            else:
                assert isinstance(verdict, GiveUp)


def test_pauses_grow_to_a_second() -> None:
    machine, failed = Sending(), Failed(TransportError("no"))
    pauses = [machine.after(failed, 0.0, 100.0) for _ in range(7)]
    assert [p.after for p in pauses if isinstance(p, TryAgain)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_the_text_names_subject_tries_cause_and_what_to_do() -> None:
    verdict = Sending().after(Failed(BrokerUnavailable("no server", subject="aq-x.t.q.0.a.k")), 99.0, 99.0)
    assert isinstance(verdict, GiveUp)
    for part in ("aq-x.t.q.0.a.k", "1 try", "no server", "check that the broker runs"):
        assert part in str(verdict.error)
