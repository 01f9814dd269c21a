"""Passing messages: subscriptions that survive reconnects and tell when they may have missed something."""

from __future__ import annotations

from collections.abc import Callable

from actorq.errors import PermissionDenied
from actorq.model.message import NO_HEADERS, Message
from actorq_nats.connection import Connection
from actorq_nats.errors import denied
from actorq_nats.iothread import Way
from actorq_nats.wire import parse_headers

MAX_WAITING = 65_536
"""How many messages may wait for the application's loop before they are dropped."""


class Passing:
    """One subscription. Made and closed by the application, all else but ``_hear`` and ``_miss`` in the I/O loop."""

    def __init__(
        self, subject: str, receive: Callable[[Message], None], gap: Callable[[], None], io: Way, home: Way
    ) -> None:
        self._subject = subject
        self._receive: Callable[[Message], None] | None = receive
        self._gap = gap
        self._io = io
        self._home = home
        self._connection: Connection | None = None
        self._sid = 0
        self._times = 0
        self._open = True
        self._refused: PermissionDenied | None = None
        # Each counted by one thread only: what the one has posted and the other has heard.
        self._posted = 0
        self._heard = 0
        self._dropping = False

    async def start(self, connection: Connection) -> None:
        """Subscribe; the broker knows of it when this returns. Raises PermissionDenied or BrokerUnavailable."""
        self._connection = connection
        connection.add(self)
        try:
            await connection.round_trip()
            if self._refused is not None:
                raise self._refused
        except BaseException:
            self._end(None)
            raise

    def _arrived(self, subject: bytes, reply: bytes, body: bytes, block: bytes) -> None:
        if self._posted - self._heard >= MAX_WAITING:
            if not self._dropping:
                self._dropping = True
                self._home.post(self._miss, None)
            return
        self._posted += 1
        headers = parse_headers(block) if block else NO_HEADERS
        self._home.post(self._hear, Message(subject.decode(), body, headers, reply=reply.decode()))

    def _hear(self, message: Message) -> None:
        self._heard += 1
        if self._receive is not None:
            self._receive(message)

    def _miss(self, _: None) -> None:
        self._dropping = False
        if self._receive is not None:
            self._gap()

    def close(self) -> None:
        self._receive = None
        self._io.post(self._end, None)

    def _end(self, _: None) -> None:
        if self._open and self._connection is not None:
            self._open = False
            self._connection.remove(self)
            self._connection.unsubscribe(self._sid)
            self._connection.forget(self._sid)

    # Listener

    def connected(self) -> None:
        assert self._connection is not None
        self._sid = self._connection.subscribe(self._subject, self._arrived)
        self._times += 1
        if self._times > 1:
            self._connection.ping(lambda: self._home.post(self._miss, None))

    def disconnected(self) -> None:
        pass

    def denied(self, action: str, subject: str) -> bool:
        if action != "subscription" or subject != self._subject.lower():
            return False
        assert self._connection is not None
        self._refused = denied(action, self._subject, self._connection.user)
        return True
