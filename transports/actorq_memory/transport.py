"""The transport port over the broker in this process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import anyio
from anyio.lowlevel import checkpoint

from actorq.errors import BrokerUnavailable, TransportError
from actorq.model.message import Backlog, Confirmation, ConnectionSettings, ConsumerSpec, Failed, Message, Publication
from actorq_memory.admission import MAX_BYTES
from actorq_memory.broker import Broker, Listener
from actorq_memory.durable import Durable, Lease
from actorq_memory.line import Line


class MemoryTransport:
    """One connection, tied to an event loop and to none of its tasks. Its broker outlives it."""

    def __init__(self, broker: Broker, settings: ConnectionSettings) -> None:
        self._broker = broker
        self._settings = settings
        self._line: Line | None = None
        self._used = False
        self._consumers: list[MemoryConsumer] = []

    @property
    def max_bytes(self) -> int:
        return MAX_BYTES

    def now(self) -> float:
        return time.time() if self._line is None else self._broker.now()

    async def __aenter__(self) -> Self:
        await checkpoint()
        if self._used:
            raise BrokerUnavailable(f"the connection {self._settings.name!r} was opened before: make a new one")
        self._used = True
        self._line = self._broker.open(self._settings.streams)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """End the connection without a word, as if its process had been killed; what it holds is left to the leases."""
        line, self._line = self._line, None
        if line is not None:
            self._broker.close(line)
            for consumer in self._consumers:
                consumer.end("its connection is closed")

    def _opened(self) -> Line:
        if self._line is None:
            raise BrokerUnavailable(
                f"the connection {self._settings.name!r} to {self._settings.url} is not open: use it in `async with`"
            )
        return self._line

    async def publish(self, messages: Sequence[Publication], *, timeout: float) -> Sequence[Confirmation]:
        del timeout  # a broker in the same process answers at once
        await checkpoint()
        try:
            self._opened()
        except BrokerUnavailable as error:
            return [Failed(error, permanent=True) for _ in messages]
        return self._broker.publish(messages)

    async def get(self, subject: str) -> Message | None:
        await checkpoint()
        self._opened()
        return self._broker.get(subject)

    async def scan(self, subject: str) -> Sequence[Message]:
        await checkpoint()
        self._opened()
        return self._broker.scan(subject)

    async def browse(self, subject: str, *, after: int = 0, limit: int = 256) -> Sequence[Message]:
        await checkpoint()
        self._opened()
        return self._broker.browse(subject, after, limit)

    async def backlog(self, consumer: str) -> Backlog | None:
        await checkpoint()
        self._opened()
        return self._broker.backlog(consumer)

    async def delete(self, message: Message) -> bool:
        await checkpoint()
        self._opened()
        return self._broker.delete(message)

    async def notify(self, subject: str, body: bytes, *, reply: str = "") -> None:
        await checkpoint()
        self._opened()
        self._broker.notify(Message(subject, body, reply=reply))

    async def subscribe(
        self, subject: str, receive: Callable[[Message], None], gap: Callable[[], None]
    ) -> MemorySubscription:
        del gap  # nothing can be missed here
        await checkpoint()
        return MemorySubscription(self._broker, self._opened(), subject, receive)

    async def consume(self, spec: ConsumerSpec) -> MemoryConsumer:
        await checkpoint()
        consumer = MemoryConsumer(self._broker, self._opened(), spec)
        self._consumers.append(consumer)
        return consumer


class MemorySubscription:
    def __init__(self, broker: Broker, line: Line, subject: str, receive: Callable[[Message], None]) -> None:
        self._broker = broker
        self._receive = receive
        self._open = True
        self._listener = Listener(line, subject, self._hear)
        broker.subscribe(self._listener)

    def _hear(self, message: Message) -> None:
        if self._open:
            self._receive(message)

    def close(self) -> None:
        self._open = False
        self._broker.unsubscribe(self._listener)


class MemoryConsumer:
    def __init__(self, broker: Broker, line: Line, spec: ConsumerSpec) -> None:
        self._broker = broker
        self._line = line
        self._name = spec.name
        # Filled from any thread, emptied in the loop: a deque needs no lock for that.
        self._arrived: deque[Lease] = deque()
        self._bell = anyio.Event()
        self._over = ""
        self._durable, self._member = broker.consume(line, spec, self._hand)

    @property
    def lease(self) -> float:
        return self._durable.spec.lease

    def grant(self, credit: int) -> None:
        self._broker.grant(self._durable, self._member, credit)

    async def receive(self) -> Sequence[MemoryDelivery]:
        await checkpoint()
        while not self._arrived:
            if self._over:
                raise TransportError(f"consumer {self._name} delivers no more: {self._over}")
            self._bell = anyio.Event()
            await self._bell.wait()
        return self._take()

    async def stop(self) -> Sequence[MemoryDelivery]:
        self._broker.withdraw(self._durable, self._member)
        self.end("it was stopped")
        return self._take()

    def end(self, why: str) -> None:
        """Let whoever waits for a delivery know that none will come."""
        self._over = self._over or why
        self._bell.set()

    def _hand(self, lease: Lease) -> None:
        self._arrived.append(lease)
        self._line.post(self._ring)

    def _ring(self) -> None:
        self._bell.set()

    def _take(self) -> list[MemoryDelivery]:
        taken: list[MemoryDelivery] = []
        while self._arrived:
            taken.append(MemoryDelivery(self._broker, self._durable, self._arrived.popleft()))
        return taken


class MemoryDelivery:
    def __init__(self, broker: Broker, durable: Durable, lease: Lease) -> None:
        self._broker = broker
        self._durable = durable
        self._lease = lease

    @property
    def message(self) -> Message:
        return self._lease.message

    @property
    def deliveries(self) -> int:
        return self._lease.deliveries

    def keep(self, limit: float, lost: Callable[[], None]) -> None:
        self._broker.keep(self._durable, self._lease, limit, lost)

    def ack(self) -> None:
        self._broker.ack(self._lease)

    def release(self) -> None:
        self._broker.keep(self._durable, self._lease, 0.0, None)
