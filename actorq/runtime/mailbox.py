"""The pulling side of one mailbox: never more in hand than its actor has slots and turns for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio

from actorq.errors import ConfigError, TransportError
from actorq.model.address import Mailbox
from actorq.ports.transport import Consumer, Delivery
from actorq.runtime.execute import Job
from actorq.runtime.jobs import Jobs

log: logging.Logger = logging.getLogger("actorq.worker")

REJOIN_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Puller:
    """Keeps what is granted and held within the free slots and the rate of its actor.

    ``paused``: it takes nothing. ``stopped``: nor will it ever again. ``delivered_at``: when something came last, on
    the event loop's clock.
    """

    def __init__(
        self, jobs: Jobs, consume: Callable[[Mailbox], Awaitable[Consumer]], mailbox: Mailbox, *, paused: bool
    ) -> None:
        self.mailbox: Mailbox = mailbox
        self.paused: bool = paused
        self.delivered_at: float = anyio.current_time()
        self._jobs = jobs
        self._consume = consume
        self._consumer: Consumer | None = None
        self._granted = 0
        self._waiting: set[Job] = set()
        self._turn = anyio.CancelScope()
        self._leaving = anyio.Lock()
        self.stopped: bool = False
        self._resumed = anyio.Event()

    async def join(self) -> None:
        """Join the consumer, with credit for every free slot. Raises ConfigError if it cannot be joined."""
        self._consumer = await self._consume(self.mailbox)
        self._granted = 0
        self.delivered_at = anyio.current_time()
        self.grant()

    def grant(self) -> None:
        if self._consumer is None or self.paused or self.stopped or self._jobs.stopping:
            return
        wanted = self._jobs.slots.free - len(self._waiting) - self._granted
        if wanted <= 0:
            return
        if self._jobs.pace.limited:
            allowed = self._jobs.pace.ready() - len(self._waiting) - self._granted
            if allowed < wanted:
                self._jobs.pace.want()
                wanted = int(max(0, allowed))
        if wanted:
            self._granted += wanted
            self._consumer.grant(wanted)

    @property
    def expects(self) -> bool:
        """Whether something may come at any time."""
        return self._granted > 0 and not self.paused

    def forget(self, job: Job) -> None:
        """A delivery of this mailbox has its slot, or needs none any more."""
        if job in self._waiting:
            self._waiting.remove(job)
            self.grant()

    async def pull(self) -> None:
        """Receive until stopped; a consumer that cannot go on, or is to be joined anew, is made anew."""
        try:
            while not self.stopped:
                with anyio.CancelScope() as self._turn:
                    if self.paused:
                        await self._resumed.wait()
                    if self._consumer is None:
                        await self._rejoin()
                    self.grant()
                    await self._receive()
        finally:
            await self.abandon()

    async def _receive(self) -> None:
        try:
            while self._consumer is not None:
                deliveries = await self._consumer.receive()
                self._granted -= len(deliveries)
                self._take(deliveries)
        except TransportError as error:
            log.warning("mailbox %s delivers no more (%s): joining it again", self.mailbox, error)
            self._consumer = None
            await anyio.sleep(REJOIN_PAUSE)

    async def _rejoin(self) -> None:
        pause, said = REJOIN_PAUSE, ""
        while True:
            try:
                await self.join()
            except (TransportError, ConfigError) as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("mailbox %s cannot be joined yet: %s", self.mailbox, said)
            else:
                log.info("mailbox %s is joined again", self.mailbox)
                return
            await anyio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        self.delivered_at = anyio.current_time()
        for delivery in deliveries:
            self._waiting.add(self._jobs.start(delivery, self))

    async def rebuild(self) -> None:
        """Leave the consumer and join it again."""
        await self._leave()

    async def pause(self, paused: bool) -> None:
        """Take nothing, or go on taking. What has come already is run."""
        if paused == self.paused:
            return
        self.paused = paused
        if paused:
            self._resumed = anyio.Event()
            await self._leave()
        else:
            self._resumed.set()

    async def stop(self) -> None:
        """Withdraw all credit and take over what has arrived."""
        self.stopped = True
        await self._leave()

    async def _leave(self) -> None:
        self._turn.cancel()
        # Before anything is awaited: else pull() ends first and leaves to its lease what was to be handed back.
        consumer, self._consumer, self._granted = self._consumer, None, 0
        async with self._leaving:  # who stops it waits for whoever has just paused it: nothing comes after that
            if consumer is not None:
                self._take(await consumer.stop())

    async def abandon(self) -> None:
        """Cancelled, or stopped at the moment of joining: nobody takes what the credit may still bring."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            for delivery in await consumer.stop():
                delivery.release()
