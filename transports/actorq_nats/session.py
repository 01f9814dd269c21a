"""All of one transport that lives in the I/O loop: its parts, its beat, its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

import anyio

from actorq.errors import ActorqError, BrokerUnavailable
from actorq.model.message import ConnectionSettings, ConsumerSpec
from actorq_nats.connection import Connection
from actorq_nats.consumer import NatsConsumer
from actorq_nats.dial import Options
from actorq_nats.errors import denied
from actorq_nats.iothread import Way
from actorq_nats.leases import LONGEST_BEAT, Leases, clock
from actorq_nats.passing import Passing
from actorq_nats.publisher import Publisher
from actorq_nats.pull import Pull
from actorq_nats.reads import Reads
from actorq_nats.requests import TIMEOUT, Requests
from actorq_nats.setup import Setup
from actorq_nats.topology import ConsumerState, Kind, stream_name

log = logging.getLogger("actorq.nats")

T = TypeVar("T")


class Work(Generic[T]):
    """A coroutine of the session that the application waits for."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.make = make
        self.done = anyio.Event()
        self._task: asyncio.Task[T] | None = None

    def finish(self, task: asyncio.Task[T]) -> None:
        """Called in the application's loop."""
        self._task = task
        self.done.set()

    def result(self) -> T:
        """What it came to. Raises what it raised, or BrokerUnavailable if the session ended before."""
        assert self._task is not None
        if self._task.cancelled():
            raise BrokerUnavailable("the connection was closed meanwhile")
        return self._task.result()


class Session:
    """Made by the application, then left to the I/O loop. ``home`` leads into the application's loop."""

    def __init__(
        self, settings: ConnectionSettings, options: Options, inbox: str, loop: asyncio.AbstractEventLoop, home: Way
    ) -> None:
        """``inbox``: what all reply subjects begin with."""
        self._settings = settings
        self._inbox = inbox
        self._loop = loop
        self._home = home
        self._ending = asyncio.Event()
        self._works: dict[Work[Any], asyncio.Task[Any]] = {}
        self._pulls: dict[NatsConsumer, Pull] = {}
        self._stopping: dict[NatsConsumer, asyncio.Task[None]] = {}
        self._numbers = count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._refused: ActorqError | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._opened = False
        self.connection = Connection(settings, options, loop)
        self.leases = Leases(self.connection, home)
        self.requests = Requests(self.connection, f"{inbox}.r.")
        self.publisher = Publisher(self.connection, home, f"{inbox}.p.")
        self.reads = Reads(self.requests, settings.prefix)
        self.setup = Setup(self.requests, settings.prefix, settings.streams)

    async def run(self) -> None:
        """Until ``close`` is through."""
        await self._ending.wait()

    async def open(self) -> int:
        """Connect and set up the streams; the largest message that the broker takes. Raises as ``__aenter__``."""
        deadline = self._loop.time() + self._settings.connect_timeout
        for listener in (self, self.leases, self.requests, self.publisher):
            self.connection.add(listener)
        await self.connection.open(deadline)
        await self.connection.round_trip()
        if self._refused is not None:
            raise self._refused
        link = self.connection.link
        if link is None:
            raise self.connection.unavailable()
        await self.setup.streams(link.info, deadline)
        self._opened = True
        return link.max_payload

    async def close(self) -> None:
        """Send what is queued, then end everything."""
        if self._timer is not None:
            self._timer.cancel()
        if self._restoring is not None:
            self._restoring.cancel()
        error = BrokerUnavailable(f"the connection {self._settings.name!r} was closed")
        for consumer in self._pulls:
            consumer.failed(error)
        self.publisher.close("the connection was closed")
        for task in self._works.values():
            if task is not asyncio.current_task():
                task.cancel()
        try:
            await self.connection.close()
        finally:
            self._ending.set()

    # Work for the application

    def start(self, work: Work[Any]) -> None:
        """Begin it; its end is told to the application."""
        task = self._works[work] = self._loop.create_task(work.make())
        task.add_done_callback(partial(self._finished, work))

    def _finished(self, work: Work[Any], task: asyncio.Task[Any]) -> None:
        del self._works[work]
        if not task.cancelled():
            task.exception()  # looked at, if nobody waits any more
        self._home.post(work.finish, task)

    def abandon(self, work: Work[Any]) -> None:
        """Nobody waits for it any more."""
        if work in self._works:
            self._works[work].cancel()

    async def consume(self, consumer: NatsConsumer, spec: ConsumerSpec) -> None:
        """Create or join the durable consumer and open the pull."""

        def told(state: ConsumerState) -> ConsumerState:
            consumer.lease = state.lease
            self.leases.expect(state.lease)
            return state

        async def revive() -> ConsumerState:
            return told(await self.setup.revive(spec))

        told(await self.setup.join(spec))
        pull = consumer.pull = self._pulls[consumer] = Pull(
            self.connection, spec, stream_name(self._settings.prefix, Kind.TASKS),
            f"{self._inbox}.c.{next(self._numbers)}.",
            revive=revive, arrived=consumer.arrived, failed=consumer.failed,
        )  # fmt: skip
        self.connection.add(pull)
        pull.open()
        self._beat()

    def stop(self, consumer: NatsConsumer) -> None:
        """Begin to withdraw its credit; whoever gives up waiting for the end does not stop the stopping."""
        pull = self._pulls.pop(consumer, None)
        if pull is not None:
            task = self._stopping[consumer] = self._loop.create_task(pull.stop())
            task.add_done_callback(lambda _: self._stopping.pop(consumer))

    async def stopped(self, consumer: NatsConsumer) -> None:
        """When this returns, nothing more arrives at a consumer that was told to stop."""
        if consumer in self._stopping:
            await asyncio.shield(self._stopping[consumer])

    async def subscribe(self, passing: Passing) -> None:
        """When this returns, the subscription is active."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await self.connection.ready()
        except TimeoutError:
            raise self.connection.unavailable() from None
        await passing.start(self.connection)

    async def cut(self) -> None:
        """As if the process had been killed, after what it had sent."""
        await self.connection.round_trip()
        self.connection.cut()

    def bereaved(self) -> None:
        """The application's loop is gone without leaving its ``async with`` block: hold nothing any longer."""
        with suppress(RuntimeError):  # our own loop has ended, too
            self._loop.call_soon_threadsafe(lambda: self.start(Work(self.close)))

    # The beat

    def _beat(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        pause = LONGEST_BEAT
        try:
            pause = self.leases.beat()
            if self.leases.any:
                # Wakes the application's loop: whether it is still there is not to be known otherwise.
                self._home.post(bool, None)
            for pull in self._pulls.values():
                pull.beat()
            self.connection.beat(partial(self.leases.answered, clock()))
        finally:
            self._timer = self._loop.call_later(pause, self._beat)

    # Listener, the first of all: the ping goes out before anything can arrive, so that arrivals can be dated

    def connected(self) -> None:
        self._beat()
        link = self.connection.link
        if self._opened and link is not None and (self._restoring is None or self._restoring.done()):
            self._restoring = self._loop.create_task(self._restore(link.info))

    async def _restore(self, server: Mapping[str, Any]) -> None:
        # A broker that comes back may have come back empty, or be another one.
        try:
            await self.setup.streams(server, self._loop.time() + self._settings.connect_timeout)
        except ActorqError as error:
            log.error("after the connection came back: %s", error)

    def disconnected(self) -> None:
        pass

    def denied(self, action: str, subject: str) -> bool:
        if action != "subscription" or not subject.startswith(self._inbox.lower()):
            return False
        self._refused = denied(action, f"{self._inbox}.>", self.connection.user)
        return True
