"""How the broker reaches the event loop of one connection, from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

import anyio
import sniffio
import trio

Call = Callable[[], object]
_TICK = 1e-6
"""Seconds that a sleeper adds, so that rounding does not wake it just before a due time."""


def _caller() -> Callable[[Call], object]:
    """What runs a function soon in this loop, from any thread; it raises RuntimeError once the loop is gone."""
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_trio_token().run_sync_soon
    return asyncio.get_running_loop().call_soon_threadsafe


class Line:
    """Made in the loop that it leads to."""

    def __init__(self) -> None:
        self._soon = _caller()
        self._bell = anyio.Event()
        self._until = inf

    def post(self, call: Call) -> None:
        """Make ``call`` in the loop, after those posted before. Dropped where the loop has ended."""
        try:
            self._soon(call)
        except RuntimeError:
            # Its transport's task was cancelled with the loop and takes the line out.
            return

    def expect(self, due: float) -> None:
        """Something is due: see to it that the sleeper is awake by then."""
        if due < self._until:
            self._until = due
            self.post(self._ring)

    def _ring(self) -> None:
        self._bell.set()

    async def sleep(self, until: float, now: float) -> None:
        """Sleep to a due time, or until an earlier one is known."""
        self._until = until
        with anyio.move_on_after(until - now + _TICK):
            await self._bell.wait()
        self._bell = anyio.Event()
