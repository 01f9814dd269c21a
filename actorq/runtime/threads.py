"""Sync handlers in worker threads (E-3). The actor's own slots limit how many; nothing internal shares the pool."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

_UNLIMITED: RunVar[anyio.CapacityLimiter] = RunVar("actorq_unlimited")


def _unlimited() -> anyio.CapacityLimiter:
    # A limiter of the library would keep an abandoned thread's place on trio and free it on asyncio.
    try:
        return _UNLIMITED.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(math.inf)
        _UNLIMITED.set(limiter)
        return limiter


class Threads:
    """Runs sync handlers of a worker and counts the threads that had to be abandoned and still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.abandoned = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Run ``call`` in a thread. Cancelled meanwhile, the thread is abandoned: it goes on unseen."""
        thread = _Thread(call, self._count)
        try:
            return await anyio.to_thread.run_sync(thread.run, abandon_on_cancel=True, limiter=_unlimited())
        finally:
            thread.leave()

    def _count(self, change: int) -> None:
        with self._lock:
            self.abandoned += change


class _Thread(Generic[T]):
    def __init__(self, call: Callable[[], T], count: Callable[[int], None]) -> None:
        self._call = call
        self._count = count
        self._lock = threading.Lock()
        self._ended = self._left = False

    def run(self) -> T:
        try:
            return self._call()
        finally:
            with self._lock:
                self._ended = True
                if self._left:
                    self._count(-1)

    def leave(self) -> None:
        with self._lock:
            self._left = True
            if not self._ended:
                self._count(+1)
