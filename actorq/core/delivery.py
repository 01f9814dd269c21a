"""The delivery protocol as decisions (semantics D-1, D-2, D-5, D-6): values in, one verdict out.

Knows what was read from the broker and in which order it must be read; never reads, waits or publishes. Every
function here is run by the exhaustive model of the protocol (``tests/model_check``): change one, and it says which
interleaving breaks.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from actorq.model.envelope import Envelope, Record


@dataclass(frozen=True, slots=True)
class Held:
    """The copy in hand: its task's id, its own sequence in the task stream, the generation that it carries."""

    id: str
    sequence: int
    generation: int


@dataclass(frozen=True, slots=True)
class Copy:
    """The newest message under the wildcard of a key, as it was read. ``id`` may be another task's of the same key."""

    id: str
    sequence: int
    generation: int = 0
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class LookRecord:
    """Nothing newer is there: read the record next. Only this order notices a newer copy that ends in between."""


@dataclass(frozen=True, slots=True)
class Run:
    """Nothing speaks against running the handler."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The task has ended: hand over what follows from ``record`` (never from an own value) once more, then ack."""

    record: Record


@dataclass(frozen=True, slots=True)
class Replace:
    """Write the own outcome again, on condition that the record still has ``sequence``."""

    sequence: int


@dataclass(frozen=True, slots=True)
class AckUnrun:
    """Others carry the task on: ack, publish nothing."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Neither done nor carried on by others: do not ack; the lease decides."""


@dataclass(frozen=True, slots=True)
class Reissue:
    """How the message is published again (D-6): ``envelope`` under ``msg_id``, if the newest copy is ``expected``.

    ``at``: as a schedule due then (seconds since the epoch); None: as a task, at once.
    """

    envelope: Envelope
    msg_id: str
    expected: int
    at: float | None = None


def must_look(repeat: bool, deliveries: int) -> bool:
    """Whether a delivery looks before it runs. ``deliveries`` counts those of this copy, this one included."""
    return repeat or deliveries > 1


def after_newer(own: Held, newest: Copy | None) -> AckUnrun | LookRecord:
    """First read of the look: is a newer copy of this very task under way?

    A newer copy of another task of the same key says nothing: it could only be stored because this task's record
    was there, which the second read finds.
    """
    if newest is not None and newest.id == own.id and newest.sequence > own.sequence:
        return AckUnrun()
    return LookRecord()


def after_record(own: Held, record: Record | None) -> Run | Repeat | AckUnrun:
    """Second read of the look: has this task ended, or been revived at a higher generation?"""
    if record is None:
        return Run()
    if record.terminal:
        return Repeat(record) if record.generation >= own.generation else Run()
    return AckUnrun() if record.generation > own.generation else Run()


def must_record(envelope: Envelope, deliveries: int) -> bool:
    """Whether an outcome of this delivery is written, if only as an empty record.

    Nobody waits for the outcome of an ignored task, but a second run of it, or a second outcome of what continues
    it, is only prevented by a record.
    """
    return envelope.reply is not None or bool(envelope.frames) or must_look(envelope.repeat, deliveries)


def record_refused(own: Held, record: Record, sequence: int) -> Replace | Repeat | AckUnrun:
    """The own outcome was not stored because ``record`` is there, as ``sequence``: which of the two counts (D-1)?"""
    if not record.terminal:
        return AckUnrun() if record.generation > own.generation else Replace(sequence)
    if record.replaceable and record.generation < own.generation:
        return Replace(sequence)
    return Repeat(record)


def cancellation(record: Record | None, generation: int) -> int | None:
    """Of which generation the record of a cancelled task is (I-11); None: the task has ended, and nothing is written.

    ``generation``: of the copy that waits, 0 without one. A lower one would be overruled by the revived task.
    """
    if record is None:
        return generation
    return None if record.terminal else max(record.generation, generation)


def reissue(envelope: Envelope, deliveries: int, own: Held, *, retry: bool = False, at: float | None = None) -> Reissue:
    """Plan a retry (``retry``: the attempt counts), snooze, hand-back or restart: one operation for all.

    The new copy starts with one delivery of its own, so the leases that earlier deliveries of this one lost move
    into the envelope; the delivery that hands it back is not lost.
    """
    again = replace(
        envelope,
        repeat=True,
        attempt=envelope.attempt + 1 if retry else envelope.attempt,
        leases_lost=lost_leases(envelope, deliveries),
    )
    return Reissue(again, msg_id=f"{own.id}.{own.sequence}", expected=own.sequence, at=at)


def after_reissue_refused(own: Held, newest: Copy | None, record: Record | None) -> AckUnrun | Repeat | Keep:
    """A re-issue was refused: look as before a run; if nobody else has the task, keep the message.

    ``newest`` was read before ``record``.
    """
    if isinstance(after_newer(own, newest), AckUnrun):
        return AckUnrun()
    verdict = after_record(own, record)
    return Keep() if isinstance(verdict, Run) else verdict


def lost_leases(envelope: Envelope, deliveries: int) -> int:
    """How many holders of this task, over all its copies, vanished without a word. The present one does not count."""
    return envelope.leases_lost + deliveries - 1


def over_budget(envelope: Envelope, deliveries: int, crash_budget: int) -> bool:
    """Whether the message has cost as many leases as it may: it must not be run again."""
    return lost_leases(envelope, deliveries) >= crash_budget


def last_delivery(envelope: Envelope, deliveries: int, crash_budget: int) -> bool:
    """Whether this is the last run that the crash budget allows: to be made where it can harm nobody else (D-5)."""
    return lost_leases(envelope, deliveries) == crash_budget - 1
