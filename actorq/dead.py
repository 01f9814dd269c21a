"""Dead letters from wherever the system can be reached: finding them, reviving their tasks, dropping them (F-3).

Which letters are meant and what a revival comes to is decided in ``actorq.core.revival``; the order of the steps is
explored in ``tests/model_check``. Each step may be the last before a crash: retrying the letter again goes on from it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

import anyio

from actorq.client import Client, readable_record
from actorq.confirming import confirmed
from actorq.core.codec import Undecodable, decode_dead, encode_record, readable_envelope
from actorq.core.copies import copy_of
from actorq.core.ids import USER_ORIGIN, key_of, origin_of
from actorq.core.revival import Ended, Filters, Hopeless, Revive, revival, to_retrying
from actorq.core.sending import Done
from actorq.model.envelope import DeadLetter, Envelope, Record
from actorq.model.message import Expect, Message, Publication

__all__ = ["DeadLetters", "Filters", "Letter", "Revival"]

PAGE = 128
LEAVES_WITHIN, PAUSE = 2.0, 0.1
"""Seconds that the copy that died may still be seen: its ack follows its letter."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it is stored."""

    content: DeadLetter
    message: Message

    @property
    def id(self) -> str:
        return self.content.id


@dataclass(frozen=True, slots=True)
class Revival:
    """What came of ``retry``. ``text``: what happened, and what to do next where that is something.

    ``revived``: the task is on its way again. ``under way``: it was already. ``ended``: it has ended since, by another
    revival. ``kept``: nothing was done, ``text`` says why. ``letter_left``: the letter is still there.
    """

    id: str
    outcome: Literal["revived", "under way", "ended", "kept"]
    text: str
    letter_left: bool = False


@dataclass(frozen=True, slots=True)
class _Stored:
    """A record with the subject and sequence that it was read at."""

    record: Record
    subject: str
    sequence: int


class DeadLetters:
    """The dead letters of a system, over one open connection: ``DeadLetters(system.client)``."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._transport = client.transport
        self._namespace = client.namespace

    # ---- finding

    async def each(self, filters: Filters | None = None, limit: int | None = None) -> AsyncGenerator[Letter, None]:
        """Those that fit, oldest first, at most ``limit``; what is written meanwhile is left out.

        Raises TransportError.
        """
        filters, left = filters or Filters(), math.inf if limit is None else limit
        subject, after = filters.subject(self._namespace), 0
        newest = await self._transport.get(subject)
        last = 0 if newest is None else newest.sequence
        while after < last and left > 0:
            page = await self._transport.browse(subject, after=after, limit=PAGE)
            for message in page:
                letter = _read(message)
                if message.sequence <= last and left > 0 and filters.fit(letter.content):
                    left -= 1
                    yield letter
            after = page[-1].sequence if page else last

    async def show(self, task_id: str) -> list[Letter]:
        """The dead letters of one task, oldest first; usually one."""
        return [letter async for letter in self.each(Filters(id=task_id))]

    # ---- acting

    async def drop(self, letter: Letter) -> bool:
        """Remove it for good; False if it was gone. The task's record stays until its time to live is over."""
        return await self._transport.delete(letter.message)

    async def retry(self, letter: Letter) -> Revival:
        """Let its task run again, from the first attempt, for whoever awaits it; then remove the letter.

        Raises TransportError. Called again, also after a crash in the middle, it goes on or says that it is done.
        """
        deadline = anyio.current_time() + self._client.send_timeout
        own = await self._stored(letter.id)
        now = self._transport.now()
        plan = revival(letter.content, None if own is None else own.record, now)
        match plan:
            case Hopeless(why):
                return Revival(letter.id, "kept", f"task {letter.id} cannot be revived: {why}", letter_left=True)
            case Ended(record, stale):
                text = f"task {letter.id} is {record.state} by now"
                if not stale:
                    text += ": drop its dead letter if that is what was wanted"
                return await self._closed(letter, Revival(letter.id, "ended", text, letter_left=not stale))
            case Revive(envelope):
                root = await self._stored(envelope.root) if envelope.root != envelope.id else None
                result = await self._publish(plan, deadline)
                if result.outcome != "kept":
                    for stored in (own, root):
                        await self._swap(stored, envelope, now, deadline)
                return await self._closed(letter, result)

    async def _stored(self, task_id: str) -> _Stored | None:
        subject = self._namespace.result(origin_of(task_id), task_id)
        message = await self._transport.get(subject)
        record = None if message is None else readable_record(message.body)
        return None if message is None or record is None else _Stored(record, subject, message.sequence)

    async def _publish(self, plan: Revive, deadline: float) -> Revival:
        """One copy, if there is none; else what the one that is there means."""
        envelope = plan.envelope
        copies = self._namespace.copies(envelope.actor, key_of(envelope.id))
        publication = copy_of(envelope, self._namespace, plan.mailbox, msg_id=plan.msg_id, expected=0)
        await self._client.register.ensure(plan.mailbox, self._client.send_timeout)
        patience = anyio.current_time() + LEAVES_WITHIN
        perhaps_own = False
        while True:
            verdict = await confirmed(self._transport, publication, deadline)
            if isinstance(verdict, Done):
                return _on_its_way(envelope, anew=perhaps_own or not verdict.duplicate)
            perhaps_own = perhaps_own or verdict.perhaps_own
            found = await self._transport.get(copies)
            other = None if found is None else readable_envelope(found.body)
            if other is not None and other.id == envelope.id and other.generation >= envelope.generation:
                return _on_its_way(envelope, anew=perhaps_own)
            if anyio.current_time() >= patience:
                return _in_the_way(envelope, other)
            await anyio.sleep(PAUSE)

    async def _swap(self, stored: _Stored | None, envelope: Envelope, now: float, deadline: float) -> None:
        """Let a failure stand no longer; refused if somebody has written since, whose record counts."""
        if stored is None or (record := to_retrying(stored.record, envelope.generation, now)) is None:
            return
        ttl = envelope.result_ttl(self._client.result_ttl)
        expect = Expect(stored.sequence, stored.subject)
        swap = Publication(stored.subject, encode_record(record), expect=expect, ttl=ttl)
        await confirmed(self._transport, swap, deadline)

    async def _closed(self, letter: Letter, result: Revival) -> Revival:
        """Remove the letter once it says nothing that holds any more."""
        if not result.letter_left:
            await self.drop(letter)
        return result


def _read(message: Message) -> Letter:
    try:
        return Letter(decode_dead(message.body), message)
    except Undecodable as error:
        _, _, queue, actor, task_id = message.subject.split(".")
        unknown = DeadLetter(
            id=task_id, actor=actor, queue=queue, reason="undecodable", message=str(error), at=message.at
        )
        return Letter(unknown, message)


def _on_its_way(envelope: Envelope, *, anew: bool) -> Revival:
    if anew:
        return Revival(envelope.id, "revived", f"task {envelope.id} of {envelope.to} is on its way again")
    # An id given by a user may name another call by now: then the letter is the only trace of this one.
    sure = origin_of(envelope.id) != USER_ORIGIN
    text = f"task {envelope.id} of {envelope.to} had been revived already"
    return Revival(envelope.id, "under way", text, letter_left=not sure)


def _in_the_way(envelope: Envelope, other: Envelope | None) -> Revival:
    who = f"task {other.id}" if other is not None and other.id != envelope.id else "the copy that died"
    when = "when it has ended" if who.startswith("task") else "within a lease (30 s)"
    text = f"task {envelope.id} of {envelope.to} is not revived: {who} is still in its place; try again {when}"
    return Revival(envelope.id, "kept", text, letter_left=True)
