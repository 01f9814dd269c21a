"""What is to happen when: a heap of due times from which a plan can be withdrawn."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf

Action = Callable[[float], None]
"""Called with the broker's time, which is at or after the due time."""
_FEW = 64


@dataclass(slots=True, eq=False)
class Timer:
    """One plan; ``action`` is None once it was made or withdrawn."""

    due: float
    action: Action | None


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._withdrawn = 0

    def __len__(self) -> int:
        return len(self._heap) - self._withdrawn

    @property
    def next(self) -> float:
        """The earliest due time; infinite if there is none."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
            self._withdrawn -= 1
        return self._heap[0][0] if self._heap else inf

    def add(self, due: float, action: Action) -> Timer:
        """Plan ``action``. What is due at one moment happens in the order of planning."""
        timer = Timer(due, action)
        heapq.heappush(self._heap, (due, next(self._order), timer))
        return timer

    def withdraw(self, timer: Timer | None) -> None:
        """Forget a plan; nothing happens where it is over already."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        self._withdrawn += 1
        # Nearly every plan is withdrawn (a kept message is acked long before its limit): do not carry them along.
        if self._withdrawn > _FEW and self._withdrawn * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._withdrawn = 0

    def pop(self, now: float) -> Action | None:
        """The earliest action that is due, once."""
        if self.next > now:
            return None
        timer = heapq.heappop(self._heap)[2]
        action, timer.action = timer.action, None
        return action
