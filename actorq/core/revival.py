"""Dead letters as decisions (semantics F-3): which ones are meant, and how one is revived. Values in, values out."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from actorq.core.codec import Undecodable, decode_envelope
from actorq.core.ids import USER_ORIGIN, origin_of
from actorq.model.address import Mailbox, Namespace, parse_subject
from actorq.model.envelope import DeadLetter, Envelope, Record

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which dead letters are meant: those that all given filters fit.

    ``actor``: its name, or ``actor.method``; ``error``: the class's full name or the last parts of it; ``since`` and
    ``until``: when it died, in seconds since the epoch.
    """

    id: str = ""
    actor: str = ""
    error: str = ""
    reason: str = ""
    queue: str = ""
    since: float | None = None
    until: float | None = None

    def subject(self, namespace: Namespace) -> str:
        """The narrowest filter over subjects that leaves none of them out."""
        return namespace.dead(self.queue or ANY, self.actor.partition(".")[0] or ANY, self.id or ANY)

    def fit(self, letter: DeadLetter) -> bool:
        """Whether it is one of those that are meant."""
        return (
            self.id in ("", letter.id)
            and self.actor in ("", letter.actor, letter.actor.partition(".")[0])
            and f".{letter.error}".endswith(f".{self.error}" if self.error else "")
            and self.reason in ("", letter.reason)
            and self.queue in ("", letter.queue)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at <= self.until)
        )


@dataclass(frozen=True, slots=True)
class Revive:
    """Publish ``envelope`` to ``mailbox`` under ``msg_id`` if there is no copy of it; then swap the records."""

    envelope: Envelope
    mailbox: Mailbox
    msg_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The task has gone on to an end that stands; ``stale``: surely after this letter was written."""

    record: Record
    stale: bool


@dataclass(frozen=True, slots=True)
class Hopeless:
    """There is nothing that could be run."""

    why: str


def revival(letter: DeadLetter, record: Record | None, now: float) -> Revive | Ended | Hopeless:
    """What reviving a dead letter comes to. ``record``: the task's, as it was read before anything is published.

    The copy begins anew: first attempt, full crash budget, without the expiry that it missed and without a deadline
    that has passed. Whatever generation the record has, the copy's is one that it does not overrule.
    """
    try:
        envelope = decode_envelope(letter.envelope)
    except Undecodable as error:
        return Hopeless(f"its message cannot be decoded ({error}): send the task again, then drop this")
    _, mailbox, _ = parse_subject(letter.subject) or ("t", Mailbox(letter.queue, 0, envelope.actor), "")
    if mailbox.actor != envelope.actor:
        return Hopeless(f"its message to {envelope.to!r} lay in the mailbox of {mailbox.actor!r}: send the task again")
    if record is not None and record.terminal and not record.replaceable:
        # An id given by a user may have been used again: then the record says nothing of this letter.
        own = origin_of(letter.id) != USER_ORIGIN
        return Ended(record, stale=own and record.generation > envelope.generation)
    generation = _next_generation(envelope.generation, record)
    passed = envelope.deadline is not None and envelope.deadline <= now
    again = replace(
        envelope, repeat=True, generation=generation, attempt=1, leases_lost=0, expires=None,
        deadline=None if passed else envelope.deadline,
    )  # fmt: skip
    return Revive(again, mailbox, f"{envelope.id}.g{generation}")


def _next_generation(letter: int, record: Record | None) -> int:
    if record is None:
        return letter + 1
    if record.terminal:
        return max(letter, record.generation) + 1
    # Revived before, perhaps not to the end: the same once more, which is refused or a duplicate if it was.
    return max(letter + 1, record.generation)


def to_retrying(record: Record | None, generation: int, now: float) -> Record | None:
    """The record in place of ``record`` while its task is on its way again; None: it stays as it is."""
    if record is None or not record.replaceable or record.generation >= generation:
        return None
    return Record(id=record.id, state="retrying", generation=generation, attempts=record.attempts, at=now)
