"""Confirmed sending (semantics D-7): the way of tasks into the broker."""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio
import msgspec
from msgspec.structs import replace

from actorq.confirming import SHORTEST_TRY, TRY_TIMEOUT
from actorq.core.copies import copy_of
from actorq.core.ids import USER_ORIGIN, origin_of
from actorq.core.sending import Done, GiveUp, Sending, Taken, TryAgain
from actorq.core.size import check_size
from actorq.model.address import Mailbox, Namespace
from actorq.model.envelope import Envelope
from actorq.model.message import Confirmation, Publication, Stored
from actorq.ports.transport import Transport
from actorq.register import Register


class Outgoing(msgspec.Struct, frozen=True):
    """One task to send. ``at``: not before this moment (epoch seconds). ``exclusive``: only if no copy of it exists."""

    mailbox: Mailbox
    envelope: Envelope
    at: float | None = None
    exclusive: bool = False


class Outbox:
    """Sends tasks over one open transport."""

    def __init__(self, transport: Transport, namespace: Namespace, register: Register) -> None:
        self._transport = transport
        self._namespace = namespace
        self._register = register

    async def send(self, outgoing: Sequence[Outgoing], timeout: float) -> set[int]:
        """Store tasks, all confirmed when this returns; gives which of them (by position) were there already.

        Raises PayloadTooLarge before anything is sent; BrokerUnavailable, DeliveryUnknown, StreamFull or
        PermissionDenied when one of them was not confirmed within ``timeout`` seconds.
        """
        publications, began = [self._publication(o) for o in outgoing], time.monotonic()
        for mailbox in {o.mailbox for o in outgoing}:
            await self._register.ensure(mailbox, timeout)
        left = timeout - (time.monotonic() - began)
        answers = await self._transport.publish(publications, timeout=max(SHORTEST_TRY, min(TRY_TIMEOUT, left)))
        if all(type(answer) is Stored and not answer.duplicate for answer in answers):
            return set()
        left = timeout - (time.monotonic() - began)
        return await self._insist(list(outgoing), publications, answers, anyio.current_time() + left)

    def _publication(self, outgoing: Outgoing) -> Publication:
        envelope = outgoing.envelope
        # An id given by a user may come back when its record is gone, also within the duplicate window.
        msg_id = None if origin_of(envelope.id) == USER_ORIGIN else envelope.id
        expected = 0 if outgoing.exclusive or envelope.repeat else None
        copy = copy_of(envelope, self._namespace, outgoing.mailbox, msg_id=msg_id, expected=expected, at=outgoing.at)
        check_size(len(copy.body), f"the message to {envelope.to!r}", self._transport.max_bytes)
        return copy

    async def _insist(
        self,
        outgoing: list[Outgoing],
        publications: list[Publication],
        answers: Sequence[Confirmation],
        deadline: float,
    ) -> set[int]:
        """Send again what is not confirmed, as D-7 says; gives which of them were there before."""
        taken: set[int] = set()
        todo = list(range(len(outgoing)))
        tries = [Sending(exclusive=o.exclusive or o.envelope.repeat) for o in outgoing]
        while True:
            again: list[int] = []
            pause, now = 0.0, anyio.current_time()
            for i, answer in zip(todo, answers, strict=True):
                match tries[i].after(answer, now, deadline):
                    case Taken(perhaps_own=False) | Done(duplicate=True):
                        taken.add(i)
                    case Taken() | Done():
                        pass
                    case GiveUp(error):
                        raise error
                    case TryAgain(after, repeat):
                        pause = max(pause, after)
                        again.append(i)
                        if repeat and not outgoing[i].envelope.repeat:
                            outgoing[i] = replace(outgoing[i], envelope=replace(outgoing[i].envelope, repeat=True))
                            publications[i] = self._publication(outgoing[i])
            if not again:
                return taken
            await anyio.sleep(pause)
            todo, left = again, deadline - anyio.current_time()
            answers = await self._transport.publish(
                [publications[i] for i in todo], timeout=max(SHORTEST_TRY, min(TRY_TIMEOUT, left))
            )
