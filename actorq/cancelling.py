"""Cancelling a task from wherever it is known by its id (semantics I-11, J-4).

The record decides; then every worker is told; then what waits is taken away. The order is explored in
``tests/model_check``; what a worker does about it is ``actorq.runtime.cancelled``.
"""

from __future__ import annotations

from typing import NamedTuple

import anyio

from actorq.client import Client, readable_record
from actorq.confirming import confirmed
from actorq.core.codec import encode_record, pack, unpack_map
from actorq.core.copies import copy_of, envelope_in
from actorq.core.delivery import Held, cancellation, reissue
from actorq.core.ids import key_of, origin_of
from actorq.core.sending import Done
from actorq.model.address import parse_subject
from actorq.model.envelope import Envelope, ErrorInfo, Record
from actorq.model.message import Expect, Message, Publication

LONGEST = 7 * 86_400.0
"""Seconds that workers know of a cancelled task whose message stays."""
AFTER_REMOVAL = 3_600.0
"""The same for one whose message is removed: only who holds it now, or lost its connection, needs to be told."""


class Notice(NamedTuple):
    """What workers are told: when it was, and until when to remember it (seconds since the epoch)."""

    at: float
    until: float


def read_notice(body: bytes, now: float) -> Notice:
    """What is not in it, or not to be read, is as if it had been cancelled ``now``."""
    details = unpack_map(body) or {}
    at, until = details.get("at"), details.get("until")
    latest = now + LONGEST
    return Notice(
        float(at) if isinstance(at, int | float) else now,
        min(latest, float(until)) if isinstance(until, int | float) else latest,
    )


async def cancel(client: Client, task_id: str, *, waits: bool = False) -> bool:
    """End a task without a value, unless it has ended: False then, also if it had been cancelled before.

    Its waiters get Cancelled; a run that is under way is told to stop, and its outcome no longer counts. ``waits``: it
    is known that no worker runs it, so none is asked.
    Raises ResultExpired or UnknownTask if there is no trace of it, or TransportError. If cancelled here, the task may
    be cancelled or not: to call it again makes sure.
    """
    deadline = anyio.current_time() + client.send_timeout
    while True:
        found = await client.find(task_id)
        if found.record is not None:
            if found.record.state == "cancelled":
                await _carry_out(client, task_id, deadline, waits=waits)
            return False
        if await _decide(client, task_id, found.envelope, deadline):
            await _carry_out(client, task_id, deadline, waits=waits)
            return True


async def _decide(client: Client, task_id: str, envelope: Envelope | None, deadline: float) -> bool:
    """(1) The record; False if another one came first, or the one to replace has changed: look again."""
    subject = client.namespace.result(origin_of(task_id), task_id)
    message = await client.transport.get(subject)
    stored = None if message is None else readable_record(message.body)
    generation = cancellation(stored, 0 if envelope is None else envelope.generation)
    if generation is None:
        return False
    body = encode_record(_record(client, task_id, envelope, generation))
    ttl = client.result_ttl if envelope is None else envelope.result_ttl(client.result_ttl)
    expect = Expect(0 if message is None else message.sequence, subject)
    verdict = await confirmed(client.transport, Publication(subject, body, expect=expect, ttl=ttl), deadline)
    if isinstance(verdict, Done):
        return True
    there = await client.transport.get(subject) if verdict.perhaps_own else None
    return there is not None and there.body == body


def _record(client: Client, task_id: str, envelope: Envelope | None, generation: int) -> Record:
    actor, attempt = ("", 1) if envelope is None else (envelope.to, envelope.attempt)
    error = ErrorInfo(
        type_name="actorq.errors.Cancelled", kind="cancelled", actor=actor, task_id=task_id, attempts=attempt,
        message=f"task {task_id} of {actor or 'an unknown actor'}: it was cancelled",
    )  # fmt: skip
    return Record(
        id=task_id, state="cancelled", generation=generation, error=error, attempts=attempt, at=client.transport.now()
    )


async def _carry_out(client: Client, task_id: str, deadline: float, *, waits: bool) -> None:
    """(2) Tell all workers, then see to the copies: those without a continuation are removed, others unwound now."""
    copy = await _newest(client, task_id)
    seconds = LONGEST if copy is not None and _stays(copy[1]) else AFTER_REMOVAL
    now = client.transport.now()
    notice = pack({"v": 1, **Notice(now, now + seconds)._asdict()})
    told = Publication(client.namespace.cancel(task_id), notice, ttl=seconds, replace=True)
    await confirmed(client.transport, told, deadline)
    while copy is not None:
        message, envelope = copy
        if not _stays(envelope):
            if not waits and await _held(client, message, task_id):
                return
            # Exactly this one, by its sequence: a newer one on the same subject may be another task's.
            await client.transport.delete(message)
        elif await _hastened(client, message, envelope, deadline):
            return
        copy = await _newest(client, task_id)


async def _held(client: Client, message: Message, task_id: str) -> bool:
    """Whether a worker runs it, which then acks it: its place under ``global_concurrency`` is taken until then."""
    kind, mailbox, _ = parse_subject(message.subject) or ("", None, "")
    if kind != "t" or mailbox is None:
        return False
    backlog = await client.transport.backlog(mailbox.consumer)
    if backlog is None or backlog.held == 0:
        return False
    question = {"id": task_id, "mailbox": ""}
    answers = await client.ask_workers("find", question, enough=lambda answer: answer.get("state") == "held")
    return any(answer.get("state") == "held" for answer in answers)


def _stays(envelope: Envelope) -> bool:
    return bool(envelope.frames)


async def _newest(client: Client, task_id: str) -> tuple[Message, Envelope] | None:
    """The newest copy of this very task, waiting, scheduled or held."""
    message = await client.transport.get(client.namespace.copies("*", key_of(task_id)))
    if message is None:
        return None
    envelope = envelope_in(message)
    return (message, envelope) if envelope.id == task_id else None


async def _hastened(client: Client, message: Message, envelope: Envelope, deadline: float) -> bool:
    """Let a schedule fire now, as a repeat, so that its holder finds the record; False if it has fired meanwhile."""
    kind, mailbox, _ = parse_subject(message.subject) or ("", None, "")
    if kind != "s" or mailbox is None:
        return True
    own = Held(envelope.id, message.sequence, envelope.generation)
    plan = reissue(envelope, 1, own, at=client.transport.now())
    copy = copy_of(plan.envelope, client.namespace, mailbox, msg_id=plan.msg_id, expected=plan.expected, at=plan.at)
    return isinstance(await confirmed(client.transport, copy, deadline), Done)
