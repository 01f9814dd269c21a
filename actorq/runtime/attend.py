"""What a worker hears besides tasks: questions on its control subjects, and mailboxes that senders register."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectSendStream

from actorq.core.codec import pack, unpack_map
from actorq.errors import TransportError
from actorq.model.address import Mailbox, Namespace, parse_subject
from actorq.model.message import Message
from actorq.ports.transport import Subscription, Transport
from actorq.register import pause_in

log: logging.Logger = logging.getLogger("actorq.worker")

Answer = Callable[[str, Mapping[str, object]], object | None]


class Attendant:
    """Answers control questions and tells of mailboxes, new ones at once, and after a lost connection of all."""

    def __init__(
        self,
        transport: Transport,
        namespace: Namespace,
        worker: str,
        *,
        answer: Answer,
        bind: Callable[[Mailbox], Awaitable[None]],
        pause: Callable[[str, bool], Awaitable[None]],
        rescan: Callable[[], Awaitable[None]],
    ) -> None:
        self._transport = transport
        self._namespace = namespace
        self._worker = worker
        self._answer = answer
        self._bind = bind
        self._pause = pause
        self._rescan = rescan

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        send, heard = anyio.create_memory_object_stream[Message | None](math.inf)
        prefix = self._namespace.prefix
        questions, registers = (f"{prefix}.c.all.*", f"{prefix}.c.{self._worker}.*"), self._namespace.registers()
        with send, heard:
            # A question that was missed is asked again; what was registered meanwhile has to be looked for.
            listening = [await self._listen(subject, send, lambda: None) for subject in questions]
            listening.append(await self._listen(registers, send, lambda: send.send_nowait(None)))
            try:
                task_status.started()
                while True:
                    await self._attend(await heard.receive())
            finally:
                for subscription in listening:
                    subscription.close()

    async def _listen(
        self, subject: str, send: MemoryObjectSendStream[Message | None], gap: Callable[[], None]
    ) -> Subscription:
        return await self._transport.subscribe(subject, send.send_nowait, gap)

    async def _attend(self, message: Message | None) -> None:
        try:
            if message is None:
                await self._rescan()
            elif (pause := pause_in(message)) is not None:
                await self._pause(*pause)
            elif (register := parse_subject(message.subject)) is not None:
                await self._bind(register[1])
            else:
                await self._reply(message)
        except TransportError as error:
            log.warning("worker %s: the broker does not answer (%s); trying again", self._worker, error)

    async def _reply(self, message: Message) -> None:
        # A reply may only go to an origin of this namespace: anything else is not a question of ours.
        if not message.reply.startswith(f"{self._namespace.prefix}.n."):
            return
        question = unpack_map(message.body)
        reply = None if question is None else self._answer(message.subject.rsplit(".", 1)[1], question)
        if reply is not None:
            await self._transport.notify(message.reply, pack(reply))
