"""How the broker reaches the event loop of one connection, from any thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf

import anyio
import trio
from anyio.lowlevel import current_token

from actorq_memory.clock import LoopClock

Call = Callable[[], object]


def _caller() -> Callable[[Call], object]:
    """What runs a function soon in this loop, callable from any thread; it raises RuntimeError once the loop is gone."""
    native = current_token().native_token
    if isinstance(native, trio.lowlevel.TrioToken):
        return native.run_sync_soon
    assert isinstance(native, asyncio.AbstractEventLoop)
    return native.call_soon_threadsafe


class Line:
    """Calls that wait to be made in the loop, and the bell that wakes it. Created in that loop.

    ``until``: the due time that it sleeps for. ``gone``: the loop has ended without closing the connection.
    """

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.until = inf
        self.gone = False
        self._soon = _caller()
        self._calls: deque[Call] = deque()
        self._bell = anyio.Event()
        self._rung = False

    def post(self, call: Call) -> None:
        """Make ``call`` in the loop, after those posted before."""
        self._calls.append(call)
        self.ring()

    def ring(self) -> None:
        """Wake the loop: something was posted or is due earlier than it was told."""
        if self._rung:
            return
        self._rung = True
        try:
            self._soon(self._wake)
        except RuntimeError:
            self.gone = True

    def _wake(self) -> None:
        self._bell.set()

    async def heard(self, seconds: float) -> None:
        """Sleep until somebody rings, at most ``seconds``, then make the calls."""
        with anyio.move_on_after(seconds):
            await self._bell.wait()
        self._bell = anyio.Event()
        # Before the calls are looked at: a call posted after this line rings again.
        self._rung = False
        while self._calls:
            self._calls.popleft()()
