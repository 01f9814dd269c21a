"""The rate limit of one actor in one worker (H-1), on the event loop's clock: what may start now, and when more may."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio

from actorq.core.bucket import Bucket
from actorq.model.durations import Rate

SHORTEST = 0.005
"""Seconds between two grants: at high rates several starts share a wake-up."""


class Pace:
    """``rate`` None: no limit. ``changed`` is called when more may start than before."""

    def __init__(self, rate: Rate | None, burst: int, changed: Callable[[], None]) -> None:
        self._bucket = None if rate is None else Bucket(rate, burst, anyio.current_time())
        self._changed = changed
        self._wanted = anyio.Event()
        self._altered = anyio.Event()

    @property
    def limited(self) -> bool:
        return self._bucket is not None

    @property
    def rate(self) -> Rate | None:
        return None if self._bucket is None else self._bucket.rate

    def ready(self) -> float:
        """How many may start now; infinite without a limit."""
        return math.inf if self._bucket is None else self._bucket.ready(anyio.current_time())

    def want(self) -> None:
        """Somebody could start more than is ready: have ``changed`` called when that changes."""
        self._wanted.set()

    async def acquire(self) -> None:
        """Wait for a turn and take it. Cancelled here, none is taken."""
        while self._bucket is not None and not self._bucket.take(now := anyio.current_time()):
            await self._wait(self._bucket.wait(now))

    def change(self, rate: Rate | None, burst: int) -> None:
        """Another rate from now on."""
        now = anyio.current_time()
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = Bucket(rate, burst, now)
        else:
            self._bucket.change(rate, burst, now)
        altered, self._altered = self._altered, anyio.Event()
        altered.set()
        self._changed()

    async def run(self) -> None:
        """Tell of turns as they come, while somebody wants them; until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            if self._bucket is not None:
                # Full: whoever takes one wants again.
                if (seconds := self._bucket.more(anyio.current_time())) == math.inf:
                    continue
                await self._wait(seconds)
            self._changed()

    async def _wait(self, seconds: float) -> None:
        with anyio.move_on_after(max(SHORTEST, seconds)):
            await self._altered.wait()
