"""Messages between a worker and the process of one attempt: values by our codec, whole or not at all.

Knows nothing of what they mean. Packets, not a stream: a process that is killed as it speaks leaves no half sentence
that the next speaker on the same socket would finish.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio

from actorq.core.codec import pack, unpack

PACKET = 64 * 1024
READY = b"ready"
_MORE, _LAST, _ALONE = b"+", b".", b"!"


class Channel:
    """One end of a pair. One reader at a time; ``send`` from any thread."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._parts: list[bytes] = []

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """Two ends. Raises OSError where the system has no such sockets, or no descriptor left."""
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def close(self) -> None:
        self._end.close()

    def send(self, *message: Any) -> None:
        """Say it, blocking while the other side does not listen. Raises OSError once that is gone."""
        with self._lock:
            for packet in _packets(message):
                self._end.send(packet)

    async def put(self, *message: Any) -> None:
        """The same on an end that does not block; what nobody will hear is dropped.

        Cancelled, it may have said half of a long message.
        """
        for packet in _packets(message):
            while not self._sent(packet):
                await anyio.wait_writable(self._end)

    def _sent(self, packet: bytes) -> bool:
        try:
            self._end.send(packet)
        except BlockingIOError:
            return False
        except ConnectionError:
            pass  # ``get`` tells that it is gone
        return True

    def last_words(self, *message: Any) -> None:
        """Say it in the place of a speaker who has died, perhaps in mid-sentence; what finds no room is dropped."""
        with suppress(OSError):  # nobody listens any more, or not soon enough: closing this end says the rest
            self._end.send(_ALONE + pack(list(message)), socket.MSG_DONTWAIT)

    def receive(self) -> list[Any] | None:
        """Wait, blocking, for the next message; None: there will be none."""
        while (message := self._read(0)) is None:
            pass
        return message or None

    async def get(self) -> list[Any] | None:
        """Wait for the next message; None: there will be none. Cancelled, nothing is lost."""
        while True:
            await anyio.wait_readable(self._end)
            if (message := self._read(socket.MSG_DONTWAIT)) is not None:
                return message or None

    def _read(self, flags: int) -> list[Any] | None:
        """One packet: a message if it completes one, [] at the end, None if there is more to come."""
        try:
            packet = self._end.recv(PACKET + 1, flags)
        except BlockingIOError:
            return None
        except ConnectionResetError:  # it went without reading all; what it had said itself comes next
            return None
        if not packet:
            return []
        if packet[:1] == _ALONE:
            self._parts.clear()
        self._parts.append(packet[1:])
        if packet[:1] == _MORE:
            return None
        body = b"".join(self._parts)
        self._parts.clear()
        message: list[Any] = unpack(body)
        return message


def wait_until_gone(end: socket.socket) -> None:
    """Block until the other side of an end has been closed, however its process ended, whatever it has said."""
    watched = select.poll()
    watched.register(end, 0)
    watched.poll()


def _packets(message: tuple[Any, ...]) -> Iterator[bytes]:
    body = pack(list(message))
    for at in range(0, len(body), PACKET):
        yield (_MORE if at + PACKET < len(body) else _LAST) + body[at : at + PACKET]
