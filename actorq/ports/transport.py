"""The transport port: what the engine asks of a broker, and what a driver promises.

A driver translates; it holds no policy: no retry, no backoff, no limits, no decision about tasks. Subjects are those
of ``actorq.model.address`` (dot-separated tokens; ``*`` in a filter stands for exactly one token). By the second token
a subject belongs to one of three stores: ``t s m j k x`` tasks (messages leave by ack or delete), ``r p`` results (one
message for each subject), ``d`` dead letters; ``n`` announces what was stored, after that: ``{ns}.r.O.ID`` at
``{ns}.n.O.ID``, ``{ns}.x.ID`` at ``{ns}.n.x.ID``; ``e c`` are passing messages that nobody stores. Who subscribes a
stored subject hears what is published on it, whether or not it is then stored. Schedules are held on ``s`` alone.

A transport is opened with ``async with`` in a running event loop (asyncio or trio) and used from that loop only. It is
tied to none of its tasks: another one may close it, and cancelling the one that opened it does not end it.
Cancelling a call gives up waiting; what was handed over may still take effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from actorq.model.message import Backlog, Confirmation, ConnectionSettings, ConsumerSpec, Message, Publication


class Delivery(Protocol):
    """One message held under a lease that the driver renews, at least every third of it, until ``ack`` or ``release``.

    Renewal goes on while the user's event loop is blocked.
    """

    @property
    def message(self) -> Message: ...

    @property
    def deliveries(self) -> int:
        """How often the broker has delivered this copy, this time included."""
        ...

    def keep(self, limit: float, lost: Callable[[], None]) -> None:
        """Renew for at most ``limit`` seconds from now.

        ``lost`` is called in the loop, once, if the lease ran out while held. Before the first ``keep`` the limit is
        infinite and nobody is told.
        """
        ...

    def ack(self) -> None:
        """Remove the message. Sent soon, not confirmed; a lost ack means a redelivery."""
        ...

    def release(self) -> None:
        """Stop renewing and leave the message to its lease."""
        ...


class Consumer(Protocol):
    """A pull consumer that never holds more than it was granted."""

    @property
    def lease(self) -> float:
        """Seconds, as the broker has it (another worker may have set it)."""
        ...

    def grant(self, credit: int) -> None:
        """Allow ``credit`` more deliveries. Each delivery uses one up. Survives reconnects."""
        ...

    async def receive(self) -> Sequence[Delivery]:
        """Wait for at least one delivery and return all that have arrived.

        Raises TransportError if it cannot go on, also once the connection is closed.
        """
        ...

    async def stop(self) -> Sequence[Delivery]:
        """Withdraw all credit, wait until nothing more can arrive, return what arrived and was not received."""
        ...


class Subscription(Protocol):
    def close(self) -> None:
        """End it; messages on their way are dropped."""
        ...


class Transport(Protocol):
    """A connection to one broker (or cluster) for one namespace."""

    @property
    def max_bytes(self) -> int:
        """Largest body plus headers that the broker takes, in bytes."""
        ...

    def now(self) -> float:
        """Seconds since the epoch, as close to the broker's clock as is known; virtual where the loop's time is."""
        ...

    async def __aenter__(self) -> Self:
        """Connect and make sure that the stores exist. Raises BrokerUnavailable, PermissionDenied or ConfigError."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is queued (acks included), then close. Held deliveries are left to their leases."""
        ...

    async def publish(self, messages: Sequence[Publication], *, timeout: float) -> Sequence[Confirmation]:
        """Store messages in their order, pipelined, one try each; wait at most ``timeout`` seconds for all answers.

        Never raises for one message: each has its own confirmation. While there is no connection it waits for one.
        """
        ...

    async def get(self, subject: str) -> Message | None:
        """The newest stored message on a subject or filter, read where writes are decided. Raises TransportError."""
        ...

    async def scan(self, subject: str) -> Sequence[Message]:
        """The newest message of every subject that matches a filter, at most 1,024; may lag. Raises TransportError."""
        ...

    async def browse(self, subject: str, *, after: int = 0, limit: int = 256) -> Sequence[Message]:
        """Stored messages that match a filter, oldest first, of a sequence above ``after``; may lag.

        Fewer than ``limit``: there are no more. Raises TransportError.
        """
        ...

    async def backlog(self, consumer: str) -> Backlog | None:
        """How the durable consumer of this name stands; None if there is none. Raises TransportError."""
        ...

    async def delete(self, message: Message) -> bool:
        """Remove exactly this stored message (by its sequence); False if it is gone. Raises TransportError."""
        ...

    async def notify(self, subject: str, body: bytes, *, reply: str = "") -> None:
        """Send a passing message: nothing is stored or confirmed. ``reply`` reaches receivers as ``Message.reply``."""
        ...

    async def subscribe(
        self, subject: str, receive: Callable[[Message], None], gap: Callable[[], None]
    ) -> Subscription:
        """Call ``receive`` in the loop for each passing message; active at the broker when this returns.

        ``gap`` is called after a reconnect or an overflow: messages may have been missed. Neither may raise or block.
        """
        ...

    async def consume(self, spec: ConsumerSpec) -> Consumer:
        """Create or join a durable consumer; the newer lease and limits hold.

        Raises ConfigError, naming both, for a consumer of the same name with another filter, or of an overlapping one.
        """
        ...


Connect = Callable[[ConnectionSettings], Transport]
"""What an entry point in the group ``actorq.transports`` names: settings in, an unopened transport out."""
