"""The broker's time: one monotonic wall clock, read through the event loops of its connections.

A loop's own clock drives it, so on virtual time the broker's time is virtual too. On first sight a loop is set to the
wall clock, or to the broker's time where that is ahead; from then on its offset is kept as long as the loop lives, so
time goes on by that loop's clock even while no connection is open. With several loops it is the most advanced one; a
loop that is behind is moved up, never waited for.
"""

from __future__ import annotations

import time

import anyio
from anyio.lowlevel import RunVar


class LoopClock:
    """How one event loop's time translates into the broker's."""

    __slots__ = ("offset",)

    def __init__(self, offset: float) -> None:
        self.offset = offset


class BrokerClock:
    """Not safe for threads by itself: the broker's lock guards it. Only to be called in an event loop."""

    def __init__(self) -> None:
        self._latest = 0.0
        self._known: RunVar[LoopClock] = RunVar("actorq_memory.clock")

    def enter(self) -> LoopClock:
        """The clock of the running loop."""
        clock = self._known.get(None)
        if clock is None:
            clock = LoopClock(max(time.time(), self._latest) - anyio.current_time())
            self._known.set(clock)
        return clock

    def read(self, clock: LoopClock) -> float:
        """Seconds since the epoch; never less than what was read before."""
        now = anyio.current_time() + clock.offset
        if now < self._latest:
            clock.offset += self._latest - now
            now = self._latest
        self._latest = now
        return now
