"""When a worker has done enough or grown too large: it drains and ends in order, for its parent to start another."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import anyio

LOOK_EVERY = 1.0
_STATM = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of memory in use; where only that is known, the most that ever were."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Recycling:
    """``end`` is called with the reason, once, when ``max_tasks`` have ended or ``max_rss`` bytes are in use."""

    def __init__(self, max_tasks: int, max_rss: int, end: Callable[[str], None]) -> None:
        self.max_tasks: int = max_tasks
        self.max_rss: int = max_rss
        self._end: Callable[[str], None] | None = end
        self._done = 0

    def count(self) -> None:
        """A message has been processed."""
        self._done += 1
        if 0 < self.max_tasks <= self._done:
            self._enough(f"{self._done} messages processed, and max_tasks is {self.max_tasks}")

    async def watch(self) -> None:
        """Look at the memory in use, until cancelled."""
        while True:
            if 0 < self.max_rss < (used := resident()):
                self._enough(f"{used / 2**20:.0f} MiB in use, and max_rss is {self.max_rss / 2**20:.0f} MiB")
            await anyio.sleep(LOOK_EVERY)

    def _enough(self, why: str) -> None:
        end, self._end = self._end, None
        if end is not None:
            end(why)
