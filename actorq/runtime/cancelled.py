"""The live set of cancelled tasks (semantics I-11): so that the check before a start costs no look-up.

What cancelling does is ``actorq.cancelling``; what becomes of a task that is in the set is ``actorq.runtime.execute``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus

from actorq.cancelling import Notice, read_notice
from actorq.core.ids import USER_ORIGIN, origin_of
from actorq.errors import TransportError
from actorq.model.address import Namespace
from actorq.model.envelope import Envelope
from actorq.model.message import Message
from actorq.paging import pages
from actorq.ports.transport import Transport
from actorq.runtime.lookup import patiently

log: logging.Logger = logging.getLogger("actorq.worker")

PAGE = 1_024
SWEEP = 60.0


class CancelledSet:
    """Knows every task that was cancelled lately, and tells of each by its id, in the event loop, once.

    ``on_cancel`` may not raise or block. Complete once ``run`` has started; after a lost connection it is read again.
    """

    def __init__(self, transport: Transport, namespace: Namespace, on_cancel: Callable[[str], None]) -> None:
        self._transport = transport
        self._namespace = namespace
        self._on_cancel = on_cancel
        self._notices: dict[str, Notice] = {}
        self._missed = anyio.Event()

    def is_cancelled(self, envelope: Envelope, stored_at: float) -> bool:
        """Whether a message, stored then (seconds since the epoch), is of a cancelled task or canvas."""
        if not self._notices:
            return False
        return self._covers(envelope.id, stored_at) or self._covers(envelope.root, stored_at)

    def _covers(self, task_id: str, stored_at: float) -> bool:
        notice = self._notices.get(task_id)
        # An id given by a user may come back; the copies of before carry `re` and look at the record besides.
        return notice is not None and (origin_of(task_id) != USER_ORIGIN or stored_at <= notice.at)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read what is stored, then listen until cancelled. Raises TransportError if it cannot start."""
        listening = await self._transport.subscribe(self._namespace.cancelled(), self._hear, self._gap)
        try:
            await self._load()
            task_status.started()
            while True:
                missed = self._missed
                with anyio.move_on_after(SWEEP):
                    await missed.wait()
                    self._missed = anyio.Event()
                if missed.is_set():
                    await self._load_again()
                self._forget()
        finally:
            listening.close()

    def _hear(self, message: Message) -> None:
        task_id = message.subject.rsplit(".", 1)[1]
        notice, known = read_notice(message.body, self._transport.now()), self._notices.get(task_id)
        if known is None or known.at < notice.at:
            self._notices[task_id] = notice
            self._on_cancel(task_id)

    def _gap(self) -> None:
        self._missed.set()

    async def _load_again(self) -> None:
        try:
            await patiently(self._load, lambda: True)
        except TransportError as error:
            log.error("what was cancelled meanwhile cannot be read and may run, without effect: %s", error)

    async def _load(self) -> None:
        async for messages in pages(self._transport, self._namespace.cancel(), PAGE):
            for message in messages:
                self._hear(message)

    def _forget(self) -> None:
        now = self._transport.now()
        for task_id in [task_id for task_id, notice in self._notices.items() if notice.until < now]:
            del self._notices[task_id]
