"""The copies of a task in the broker: one as it is published, waiting or scheduled, and one as it is read."""

from __future__ import annotations

from actorq.core.codec import encode_envelope, headers_of, readable_envelope
from actorq.core.ids import key_of
from actorq.model.address import Mailbox, Namespace
from actorq.model.envelope import Envelope
from actorq.model.message import Expect, Message, Publication, Schedule


def copy_of(
    envelope: Envelope,
    namespace: Namespace,
    mailbox: Mailbox,
    *,
    msg_id: str | None,
    expected: int | None,
    at: float | None = None,
) -> Publication:
    """One copy. ``at``: held as a schedule until then (seconds since the epoch), None: a task at once.

    ``expected``: the sequence of the newest copy, in whatever queue and lane, 0 for none; None: without a condition.
    Raises PayloadTooLarge if it holds more containers than a receiver decodes.
    """
    key = key_of(envelope.id)
    subject, schedule = namespace.task(mailbox, key), None
    if at is not None:
        schedule, subject = Schedule(subject, at=at), namespace.schedule(mailbox, key)
    expect = None if expected is None else Expect(expected, namespace.copies(envelope.actor, key))
    body, headers = encode_envelope(envelope), headers_of(envelope)
    return Publication(subject, body, headers, msg_id=msg_id, expect=expect, schedule=schedule)


def envelope_in(message: Message) -> Envelope:
    """The envelope of a copy; of one that cannot be read what its subject says."""
    *_, actor, key = message.subject.split(".")
    return readable_envelope(message.body) or Envelope(id=key, to=actor)
