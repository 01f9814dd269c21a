"""Sync handlers in worker threads (E-3). The actor's own slots limit how many; nothing internal shares the pool."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from actorq.runtime.boundary import Raised

GRACE = 0.5
"""Seconds in which a thread whose run was cancelled may still end by itself (see ``actorq.check_cancelled``)."""
_POLL = 0.02

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
    """The threads of one actor in one worker; counts those that had to be abandoned and still run.

    ``exhausted`` is called when ``limit`` of them are, and for each beyond (the limit may have become lower).
    """

    def __init__(self, limit: int, exhausted: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self.limit: int = limit
        self._exhausted = exhausted
        self.abandoned: int = 0

    def call(self, function: Callable[[], Any]) -> ThreadCall:
        """Prepare one call."""
        return ThreadCall(function, self._change)

    def _change(self, by: int) -> None:
        with self._lock:
            self.abandoned += by
            reached = by > 0 and self.abandoned >= self.limit
        if reached:
            self._exhausted()


class ThreadCall:
    """One sync handler call. ``await call()`` gives its value or raises what it raised.

    Cancelled meanwhile, the thread goes on; ``ended_in_time`` then says whether it did so only for a moment.
    """

    def __init__(self, function: Callable[[], Any], count: Callable[[int], None]) -> None:
        self._function = function
        self._count = count
        self._lock = threading.Lock()
        self.abandoned: bool = False
        self._running = self._left = False

    async def __call__(self) -> Any:
        result = await anyio.to_thread.run_sync(self._run, abandon_on_cancel=True, limiter=_unlimited())
        if not isinstance(result, Raised):
            return result[0]
        if isinstance(result.error, KeyboardInterrupt | GeneratorExit):
            # In a thread these are no signal and no closing of a generator, as which they would pass the boundary.
            raise RuntimeError(f"the handler raised {type(result.error).__name__}") from result.error
        raise result.error

    def _run(self) -> tuple[Any] | Raised:
        with self._lock:
            if self._left:
                return (None,)
            self._running = True
        try:
            return (self._function(),)  # wrapped: trio takes a coroutine that leaves a thread for a mistake
        except BaseException as error:  # noqa: BLE001  the boundary around user code, on its thread
            return Raised(error)
        finally:
            with self._lock:
                self._running = False
                if self.abandoned:
                    self._count(-1)

    async def ended_in_time(self) -> bool:
        """After a cancellation: wait for at most GRACE seconds; a thread that still runs then is abandoned."""
        with anyio.move_on_after(GRACE):
            while self._running:
                await anyio.sleep(_POLL)
        return self.leave()

    def leave(self) -> bool:
        """After a cancellation: wait no longer. False if it still runs, and so is abandoned."""
        with self._lock:
            self._left = True
            self.abandoned = self._running
            if self.abandoned:
                self._count(+1)
        return not self.abandoned
