"""Consumers and deliveries as the application holds them; they belong to its loop but for what says otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from math import inf

import anyio
from anyio.lowlevel import checkpoint

from actorq.errors import ActorqError, TransportError
from actorq.model.message import Message
from actorq_nats.iothread import Way
from actorq_nats.leases import Leases, clock
from actorq_nats.pull import Pull
from actorq_nats.wire import parse_delivery


class NatsDelivery:
    """One message under a lease. What has no underscore belongs to the I/O thread, but for ``limit``."""

    __slots__ = ("_lost", "_over", "_owner", "deliveries", "known", "lease", "limit", "message", "renewed", "reply")

    def __init__(self, owner: NatsConsumer, message: Message, deliveries: int, reply: str) -> None:
        self._owner = owner
        self._lost: Callable[[], None] | None = None
        self._over = False
        self.message = message
        self.deliveries = deliveries
        self.reply = reply
        self.lease = owner.lease
        self.limit = inf
        self.known = self.renewed = 0.0

    def keep(self, limit: float, lost: Callable[[], None]) -> None:
        self.limit = clock() + limit
        self._lost = lost
        if self._over:
            self._owner.home.post(NatsDelivery.lose, self)

    def ack(self) -> None:
        self._lost = None
        self._owner.io.post(self._owner.leases.ack, self)

    def release(self) -> None:
        self._lost = None
        self._owner.io.post(self._owner.leases.release, self)

    def lose(self) -> None:
        """The lease is over: tell whoever wants to know, once."""
        self._over = True
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()


class NatsConsumer:
    """``io`` and ``home``: the ways into the I/O loop and the application's. ``lease`` is set by the I/O thread."""

    def __init__(
        self,
        name: str,
        leases: Leases,
        io: Way,
        home: Way,
        stop: Callable[[NatsConsumer], Awaitable[None]],
    ) -> None:
        self.leases = leases
        self.io = io
        self.home = home
        self.lease = 0.0
        self.pull: Pull
        self._name = name
        self._arrived: list[NatsDelivery] = []
        self._bell = anyio.Event()
        self._error: ActorqError | None = None
        self._stop = stop
        self._abandoned = False

    def grant(self, credit: int) -> None:
        self.io.post(self.pull.grant, credit)

    async def receive(self) -> Sequence[NatsDelivery]:
        await checkpoint()
        while not self._arrived:
            if isinstance(self._error, TransportError):
                raise self._error
            if self._error is not None:
                raise TransportError(f"consumer {self._name} delivers no more: {self._error}") from self._error
            self._bell = anyio.Event()
            await self._bell.wait()
        return self.take()

    async def stop(self) -> Sequence[NatsDelivery]:
        try:
            await self._stop(self)
        except BaseException:
            # Nobody will take what has arrived or still arrives: leave it to its lease.
            self._abandoned = True
            for delivery in self.take():
                delivery.release()
            raise
        finally:
            self.end(TransportError(f"consumer {self._name} was stopped"))
        return self.take()

    def take(self) -> Sequence[NatsDelivery]:
        """What has arrived and was not received."""
        taken, self._arrived = self._arrived, []
        return taken

    def end(self, error: ActorqError) -> None:
        """Nothing more will arrive."""
        self._error = self._error or error
        self._bell.set()

    def _arrive(self, delivery: NatsDelivery) -> None:
        if self._abandoned:
            delivery.release()
            return
        self._arrived.append(delivery)
        self._bell.set()

    # In the I/O thread

    def arrived(self, subject: bytes, reply: bytes, body: bytes, block: bytes) -> None:
        """Lease what the broker has delivered and pass it on."""
        message, deliveries = parse_delivery(subject, reply, body, block)
        delivery = NatsDelivery(self, message, deliveries, reply.decode())
        self.leases.hold(delivery)
        self.home.post(self._arrive, delivery)

    def failed(self, error: ActorqError) -> None:
        """Pulling has ended for good."""
        self.home.post(self.end, error)
