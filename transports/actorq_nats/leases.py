"""Everything that is held: renewing its leases, noticing lost ones, acknowledging.

A lease counts from the last renewal that the broker is known to have had: one that was written before a ping that the
broker has answered. So a dead connection, a stopped process and a suspended machine all end it in time.
"""

from __future__ import annotations

import sys
import time
from math import inf
from typing import Protocol

from actorq_nats.connection import Connection
from actorq_nats.iothread import Way
from actorq_nats.wire import publish_line

RENEWALS = 3
"""How many renewals fit into one lease."""
LONGEST_BEAT = 1.0
_ACK = b"+ACK"
_RENEW = b"+WPI"


if sys.platform == "linux":

    def clock() -> float:
        """Seconds, those included in which the machine was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    clock = time.monotonic


class Held(Protocol):
    """A delivery, as its lease sees it.

    ``known``: when the broker surely had it under this lease. ``renewed``: when the last renewal was written, ``known``
    if none is on its way. ``limit``: when to stop renewing (written by the application's thread).
    """

    reply: str
    lease: float
    known: float
    renewed: float
    limit: float

    def lose(self) -> None:
        """Called in the application's loop, once, when the lease has run out."""
        ...


class Leases:
    """Belongs to the I/O loop."""

    def __init__(self, connection: Connection, home: Way) -> None:
        self._connection = connection
        self._home = home
        self._held: dict[Held, None] = {}
        self._late_acks: list[bytes] = []
        self._answered = 0.0
        self._shortest = inf

    @property
    def any(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def expect(self, lease: float) -> None:
        """Deliveries of this lease may come: beat often enough from now on."""
        self._shortest = min(self._shortest, lease)

    def hold(self, held: Held) -> None:
        """It has arrived. The broker sent it after it took the last ping that it has answered."""
        held.known = held.renewed = self._answered
        self._held[held] = None

    def release(self, held: Held) -> None:
        """Leave it to its lease."""
        self._held.pop(held, None)

    def ack(self, held: Held) -> None:
        """Remove the message; without a connection as soon as there is one again."""
        self._held.pop(held, None)
        line = publish_line(held.reply, "", _ACK)
        if self._connection.link is None:
            self._late_acks.append(line)
        else:
            self._connection.write(line)

    def beat(self) -> float:
        """Renew what is due, give up what has run out; seconds until the next beat."""
        now, up = clock(), self._connection.link is not None
        pause = beat = min(LONGEST_BEAT, self._shortest / RENEWALS)
        for held in list(self._held):
            left = held.known + held.lease - now
            if left <= 0:
                del self._held[held]
                self._home.post(_lose, held)
                continue
            pause = min(pause, left)
            # Half a beat early rather than half a beat late; and never less often than every beat or so: another worker
            # may have made the lease of this consumer shorter, which we hear of late.
            due = min(held.lease / RENEWALS, LONGEST_BEAT)
            if up and now < held.limit and now - held.renewed + beat / 2 >= due:
                held.renewed = now
                self._connection.write(publish_line(held.reply, "", _RENEW))
        return pause

    def answered(self, sent: float) -> None:
        """The broker has taken everything that was written before this time."""
        self._answered = sent
        for held in self._held:
            if held.known < held.renewed <= sent:
                held.known = held.renewed

    # Listener

    def connected(self) -> None:
        for line in self._late_acks:
            self._connection.write(line)
        self._late_acks.clear()

    def disconnected(self) -> None:
        for held in self._held:
            # Perhaps it never arrived, so the next link begins with one.
            held.renewed = -inf

    def denied(self, action: str, subject: str) -> bool:
        del action, subject
        return False


def _lose(held: Held) -> None:
    held.lose()
