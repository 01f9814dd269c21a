"""Broken decisions: each drops one rule of the protocol. The model has to notice every one of them.

Not among them: a refused re-issue that always keeps its message. That is safe, only slower: the lease decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from actorq.core import delivery
from actorq.core.delivery import AckUnrun, Copy, Held, Keep, LookRecord, Reissue, Repeat, Replace, Run
from actorq.core.sending import Sending, TryAgain, Verdict
from actorq.model.envelope import Envelope, Record
from actorq.model.message import Confirmation
from tests.model_check.plugged import Decisions


def no_newer(_: Held, __: Copy | None) -> AckUnrun | LookRecord:
    return LookRecord()


def any_newer(own: Held, newest: Copy | None) -> AckUnrun | LookRecord:
    return AckUnrun() if newest is not None and newest.sequence > own.sequence else LookRecord()


def no_record(_: Held, __: Record | None) -> Run | Repeat | AckUnrun:
    return Run()


def record_of_any_generation(own: Held, record: Record | None) -> Run | Repeat | AckUnrun:
    return Repeat(record) if record is not None and record.terminal else delivery.after_record(own, record)


def revived_unnoticed(own: Held, record: Record | None) -> Run | Repeat | AckUnrun:
    return Run() if record is None or not record.terminal else delivery.after_record(own, record)


def ended_unrepeated(own: Held, record: Record | None) -> Run | Repeat | AckUnrun:
    verdict = delivery.after_record(own, record)
    return AckUnrun() if isinstance(verdict, Repeat) else verdict


def last_write_wins(_: Held, __: Record, sequence: int) -> Replace | Repeat | AckUnrun:
    return Replace(sequence)


def failed_never_replaced(own: Held, record: Record, sequence: int) -> Replace | Repeat | AckUnrun:
    return Repeat(record) if record.terminal else delivery.record_refused(own, record, sequence)


def failed_replaced_in_generation(own: Held, record: Record, sequence: int) -> Replace | Repeat | AckUnrun:
    return Replace(sequence) if record.state == "failed" else delivery.record_refused(own, record, sequence)


def lower_generation_overwrites(own: Held, record: Record, sequence: int) -> Replace | Repeat | AckUnrun:
    return delivery.record_refused(own, record, sequence) if record.terminal else Replace(sequence)


def loser_stops(_: Held, __: Record, ___: int) -> Replace | Repeat | AckUnrun:
    return AckUnrun()


def own_value_repeated(own: Held, record: Record, sequence: int) -> Replace | Repeat | AckUnrun:
    verdict = delivery.record_refused(own, record, sequence)
    if isinstance(verdict, Repeat):
        return Repeat(structs.replace(verdict.record, state="succeeded", value="ok own"))
    return verdict


def redelivery_unseen(repeat: bool, _: int) -> bool:
    return repeat


def repeat_unseen(_: bool, deliveries: int) -> bool:
    return deliveries > 1


def ignored_unrecorded(envelope: Envelope, _: int) -> bool:
    return envelope.reply is not None or bool(envelope.frames)


def reissued_as_new(envelope: Envelope, deliveries: int, own: Held, **how: Any) -> Reissue:
    plan = delivery.reissue(envelope, deliveries, own, **how)
    return replace(plan, envelope=structs.replace(plan.envelope, repeat=False))


def reissued_under_first_id(envelope: Envelope, deliveries: int, own: Held, **how: Any) -> Reissue:
    return replace(delivery.reissue(envelope, deliveries, own, **how), msg_id=own.id)


def reissued_into_nothing(envelope: Envelope, deliveries: int, own: Held, **how: Any) -> Reissue:
    return replace(delivery.reissue(envelope, deliveries, own, **how), expected=0)


def snooze_counts_not(envelope: Envelope, deliveries: int, own: Held, **how: Any) -> Reissue:
    plan = delivery.reissue(envelope, deliveries, own, **how)
    return replace(plan, envelope=structs.replace(plan.envelope, attempt=envelope.attempt))


def refused_means_done(_: Held, __: Copy | None, ___: Record | None) -> AckUnrun | Repeat | Keep:
    return AckUnrun()


def cancelled_in_first_generation(record: Record | None, generation: int) -> int | None:
    return None if delivery.cancellation(record, generation) is None else 0


def cancelled_over_its_end(record: Record | None, generation: int) -> int | None:
    return generation if record is None else record.generation


class Forgetful(Sending):
    """Sends again as if nothing had been sent."""

    __slots__ = ()

    def after(self, answer: Confirmation, now: float, deadline: float) -> Verdict:
        verdict = super().after(answer, now, deadline)
        return replace(verdict, repeat=False) if isinstance(verdict, TryAgain) else verdict


@dataclass(frozen=True)
class Mutant:
    """``scenario``: where it must be caught; ``property``: by what (the first word of the violation)."""

    decisions: Decisions
    scenario: str
    property: str


MUTANTS: Mapping[str, Mutant] = {
    "no_newer": Mutant(Decisions(after_newer=no_newer), "ignored", "S8"),
    "any_newer": Mutant(Decisions(after_newer=any_newer), "unique_chain", "S1"),
    "no_record": Mutant(Decisions(after_record=no_record), "chain_unique", "S3"),
    "record_of_any_generation": Mutant(Decisions(after_record=record_of_any_generation), "dead_cancel", "S1"),
    "revived_unnoticed": Mutant(Decisions(after_record=revived_unnoticed), "dead_cancel", "S3"),
    "ended_unrepeated": Mutant(Decisions(after_record=ended_unrepeated), "chain_three", "S1"),
    "last_write_wins": Mutant(Decisions(record_refused=last_write_wins), "chain_unique", "S2"),
    "failed_never_replaced": Mutant(Decisions(record_refused=failed_never_replaced), "dead_cancel", "S1"),
    "failed_replaced_in_generation": Mutant(Decisions(record_refused=failed_replaced_in_generation), "ignored", "S2"),
    "lower_generation_overwrites": Mutant(Decisions(record_refused=lower_generation_overwrites), "dead_cancel", "S2"),
    "loser_stops": Mutant(Decisions(record_refused=loser_stops), "chain_unique", "S1"),
    "own_value_repeated": Mutant(Decisions(record_refused=own_value_repeated), "chain_unique", "S2"),
    "redelivery_unseen": Mutant(Decisions(must_look=redelivery_unseen), "ignored", "S8"),
    "repeat_unseen": Mutant(Decisions(must_look=repeat_unseen), "ignored", "S8"),
    "ignored_unrecorded": Mutant(Decisions(must_record=ignored_unrecorded), "ignored", "S8"),
    "reissued_as_new": Mutant(Decisions(reissue=reissued_as_new), "ignored", "S8"),
    "reissued_under_first_id": Mutant(Decisions(reissue=reissued_under_first_id), "chain_three", "S1"),
    "reissued_into_nothing": Mutant(Decisions(reissue=reissued_into_nothing), "ignored", "S4"),
    "attempt_uncounted": Mutant(Decisions(reissue=snooze_counts_not), "ignored", "S4"),
    "refused_means_done": Mutant(Decisions(after_reissue_refused=refused_means_done), "unique_chain", "S1"),
    "cancelled_in_first_generation": Mutant(Decisions(cancellation=cancelled_in_first_generation), "dead_cancel", "S2"),
    "cancelled_over_its_end": Mutant(Decisions(cancellation=cancelled_over_its_end), "sched_cancel", "S2"),
    "forgetful_sender": Mutant(Decisions(sending=Forgetful), "one_schedule", "S8"),
}
