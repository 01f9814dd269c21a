"""The broker's time, and what is to happen when."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from itertools import count
from math import inf

import anyio
from anyio.lowlevel import RunVar

Action = Callable[[float], object]
"""Called with the broker's time, which is at or after the due time."""


class BrokerClock:
    """One wall clock that never goes back, read through the event loops of the broker's connections.

    A loop's own clock drives it, so on virtual time the broker's time is virtual too. On first sight a loop is set to
    the wall clock, or to the broker's time where that is ahead; from then on its offset is kept as long as the loop
    lives, so time goes on even while no connection is open. A loop that is behind is moved up, never waited for.
    """

    def __init__(self) -> None:
        self._latest = 0.0
        self._offset: RunVar[float] = RunVar("actorq_memory.offset")

    def now(self) -> float:
        """Seconds since the epoch. Only in an event loop, and guarded by the broker's lock."""
        loop_time = anyio.current_time()
        offset = self._offset.get(None)
        if offset is None:
            offset = time.time() - loop_time
        self._latest = max(self._latest, loop_time + offset)
        self._offset.set(self._latest - loop_time)
        return self._latest


class Agenda:
    """Actions in the order of their due times, those of one moment in the order of planning.

    Nothing can be withdrawn: an action finds out by itself whether it still has something to do.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._order = count()

    @property
    def next(self) -> float:
        """The earliest due time; infinite if there is none."""
        return self._heap[0][0] if self._heap else inf

    def add(self, due: float, action: Action) -> None:
        heapq.heappush(self._heap, (due, next(self._order), action))

    def run(self, now: float) -> None:
        """Do all that is due, what that brings with it included."""
        while self.next <= now:
            heapq.heappop(self._heap)[2](now)
