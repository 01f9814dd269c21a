"""nats-py, reduced to what it is used for here: the handshake, encryption, credentials and the parser.

Its own publishing, subscriptions and reconnecting are not used. They cost several times as much for each message,
buffer what is written while there is no connection (so that nobody knows what was sent), and answer nobody when it is
lost.
``tests/transports/nats/test_link.py`` fails if a version of nats-py no longer has the methods that are overridden.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.errors import Error, UnexpectedEOF

Sink = Callable[[bytes, bytes, bytes, bytes], None]
"""Takes a message: subject, reply subject, body, header block (empty if it has none)."""


class _Socket(TcpTransport):
    reads = 0
    """How often something has arrived, a part of a message included."""

    def __bool__(self) -> bool:
        # A transport that is false is replaced by nats-py before it connects.
        return True

    @property
    def is_closing(self) -> bool:
        return self._io_writer is None or self._io_writer.transport.is_closing()

    @property
    def unsent(self) -> int:
        """Bytes that are written and not yet on the wire."""
        return 0 if self._io_writer is None else self._io_writer.transport.get_write_buffer_size()

    async def read(self, buffer_size: int) -> bytes:
        data: bytes = await super().read(buffer_size)
        self.reads += 1
        return data

    def abort(self) -> None:
        """Close without waiting for the peer to take what is written."""
        for writer in (self._io_writer, self._bare_io_writer):
            if writer is not None:
                writer.transport.abort()


class NotEncrypted(Error):
    """A server without TLS where TLS was asked for. Nothing secret has been sent."""


class Link(Client):
    """One connection to one server, from its handshake to its loss; never reconnected."""

    def __init__(self, *, encrypted: bool) -> None:
        super().__init__()
        self.sinks: dict[int, Sink] = {}
        self.pongs: deque[Callable[[], None]] = deque()
        self.on_lost: Callable[[str], None] | None = None
        self.on_error: Callable[[str], None] | None = None
        self._encrypted = encrypted
        self._socket = _Socket()  # type: ignore[no-untyped-call]
        self._transport = self._socket

    @property
    def info(self) -> dict[str, Any]:
        """What the server said about itself."""
        return self._server_info

    @property
    def is_broken(self) -> bool:
        """Nothing can be written any more."""
        return self._socket.is_closing

    @property
    def signs(self) -> tuple[int, int]:
        """Of life: how often something has arrived, and how many bytes are still to be sent."""
        return self._socket.reads, self._socket.unsent

    def send(self, data: bytes) -> None:
        """Write protocol lines, after all that was sent before."""
        self._socket.write(data)  # type: ignore[no-untyped-call]

    def abort(self) -> None:
        """Drop the connection, and with it what is not yet on the wire."""
        self._socket.abort()

    async def heard_error(self, error: Exception) -> None:
        """Given to nats-py as its error callback: while connecting an error ends the attempt."""
        if self.on_lost is None:
            raise error
        if isinstance(error, OSError | UnexpectedEOF):
            self.on_lost(str(error) or type(error).__name__)
        elif self.on_error is not None:
            self.on_error(str(error))

    async def heard_close(self) -> None:
        """Given to nats-py as its callback for the end of the connection."""
        if self.on_lost is not None:
            self.on_lost(str(self.last_error or "closed by the server"))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        sink = self.sinks.get(sid)
        if sink is not None:
            sink(subject, reply, data, headers or b"")

    async def _process_pong(self) -> None:
        if self.pongs:
            self.pongs.popleft()()

    def _connect_command(self) -> bytes:
        # The last moment before credentials are sent.
        if self._encrypted and not self._server_info.get("tls_required"):
            raise NotEncrypted("the server does not offer TLS, which was asked for")
        return super()._connect_command()
