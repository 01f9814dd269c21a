"""The transport port over JetStream: the application's side of a session."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint

from actorq.errors import BrokerUnavailable, TransportError
from actorq.model.message import Backlog, Confirmation, ConnectionSettings, ConsumerSpec, Message, Publication
from actorq_nats.consumer import NatsConsumer
from actorq_nats.dial import Options
from actorq_nats.iothread import IoThread, Way, soon_here
from actorq_nats.passing import Passing
from actorq_nats.publisher import Batch
from actorq_nats.session import Session, Work
from actorq_nats.wire import Encoder, publish_line, too_large

T = TypeVar("T")
CLOSE_TIMEOUT = 5.0


class NatsTransport:
    """One connection to a NATS server or cluster, on a thread of its own.

    ``now`` is this machine's clock, corrected by its difference from the broker's where that is certain.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        """Raises ConfigError for settings that cannot work."""
        self._settings = settings
        self._options = Options.of(settings)
        self._encoder = Encoder(settings.prefix)
        self._inbox = f"_INBOX.{settings.prefix}.{self._options.login}.{secrets.token_hex(6)}"
        self._reply = f"{self._inbox}.p."
        self._tokens = 0
        self._max_bytes = 0
        self._io: IoThread | None = None
        self._home: Way
        self._ended: anyio.Event
        self._session: Session | None = None

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    def now(self) -> float:
        return time.time() if self._session is None else time.time() + self._session.setup.skew

    # Opening and closing

    def _bereaved(self) -> None:
        if self._session is not None:
            self._session.bereaved()

    async def __aenter__(self) -> Self:
        if self._io is not None:
            raise BrokerUnavailable(f"the connection {self._settings.name!r} is open already: make a new one")
        io = self._io = IoThread(f"actorq nats {self._settings.name}")
        self._ended = anyio.Event()
        self._home = home = Way(soon_here(), self._bereaved)
        session = self._session = Session(self._settings, self._options, self._inbox, io.loop, home)
        ended = self._ended
        io.start(session.run, lambda: home.post(_ring, ended))
        try:
            self._max_bytes = await self._call(session.open)
        except BaseException:
            await self._shut(io, session)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._io is not None and self._session is not None:
            await self._shut(self._io, self._session)

    async def _shut(self, io: IoThread, session: Session) -> None:
        self._session = None
        io.way.post(session.start, Work(session.close))
        # Shielded: cancelled callers have acks to send, too, and the thread has to end
        # (test_closing.py::test_a_cancelled_block_leaves_no_thread).
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._ended.wait()
            io.join(CLOSE_TIMEOUT)
        self._io = None

    def _open(self) -> tuple[Way, Session]:
        if self._io is None or self._session is None:
            raise BrokerUnavailable(f"the connection {self._settings.name!r} is not open: use it inside `async with`")
        return self._io.way, self._session

    async def _call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        way, session = self._open()
        work = Work(make)
        way.post(session.start, work)
        try:
            await work.done.wait()
        finally:
            if not work.done.is_set():
                way.post(session.abandon, work)
        return work.result()

    async def cut(self) -> None:
        """Behave from now on as if this process had been killed: for tests of what others make of it."""
        _, session = self._open()
        await self._call(session.cut)

    # Stored messages

    async def publish(self, messages: Sequence[Publication], *, timeout: float) -> Sequence[Confirmation]:
        way, session = self._open()
        first, reply, limit, encode = self._tokens, self._reply, self._max_bytes, self._encoder.encode
        self._tokens += len(messages)
        lines = [encode(message, f"{reply}{token}", limit) for token, message in enumerate(messages, first)]
        batch = Batch(messages, lines, first, timeout)
        if batch.missing == 0:
            await checkpoint()
            return cast("list[Confirmation]", batch.answers)
        way.post(session.publisher.submit, batch)
        try:
            await batch.done.wait()
        finally:
            batch.abandoned = not batch.done.is_set()
        return cast("list[Confirmation]", batch.answers)

    async def get(self, subject: str) -> Message | None:
        _, session = self._open()
        return await self._call(lambda: session.reads.get(subject))

    async def scan(self, subject: str) -> Sequence[Message]:
        _, session = self._open()
        return await self._call(lambda: session.reads.scan(subject))

    async def browse(self, subject: str, *, after: int = 0, limit: int = 256) -> Sequence[Message]:
        _, session = self._open()
        return await self._call(lambda: session.reads.browse(subject, after, limit))

    async def backlog(self, consumer: str) -> Backlog | None:
        _, session = self._open()
        return await self._call(lambda: session.reads.backlog(consumer))

    async def delete(self, message: Message) -> bool:
        _, session = self._open()
        return await self._call(lambda: session.reads.delete(message))

    # Passing messages

    async def notify(self, subject: str, body: bytes, *, reply: str = "") -> None:
        way, session = self._open()
        if len(body) > self._max_bytes:
            raise TransportError(too_large(subject, len(body), self._max_bytes), subject=subject)
        way.post(session.connection.write, publish_line(subject, reply, body))
        await checkpoint()

    async def subscribe(self, subject: str, receive: Callable[[Message], None], gap: Callable[[], None]) -> Passing:
        way, session = self._open()
        passing = Passing(subject, receive, gap, way, self._home)
        try:
            await self._call(lambda: session.subscribe(passing))
        except BaseException:
            passing.close()
            raise
        return passing

    # Consumers

    async def consume(self, spec: ConsumerSpec) -> NatsConsumer:
        way, session = self._open()
        consumer = NatsConsumer(spec.name, session.leases, way, self._home, self._stop)
        try:
            await self._call(lambda: session.consume(consumer, spec))
        except BaseException:
            way.post(session.stop, consumer)
            raise
        return consumer

    async def _stop(self, consumer: NatsConsumer) -> None:
        if self._session is not None:
            way, session = self._open()
            way.post(session.stop, consumer)
            await self._call(lambda: session.stopped(consumer))


def _ring(event: anyio.Event) -> None:
    event.set()
