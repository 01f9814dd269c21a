"""How the broker reaches the event loop of one connection: from any thread at once, or when something is due."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from math import inf, isfinite

import sniffio
import trio

Call = Callable[[], object]
_TICK = 1e-6
"""Seconds added to a pause, so that rounding does not end it just before a due time."""


class Line:
    """Made in the loop that it leads to; belongs to none of its tasks, so that whoever leaves does not cut it.

    ``look`` is called in the loop when what was expected is due; ``now`` is the time that due times are given in.
    """

    def __init__(self, now: Callable[[], float], look: Callable[[Line], object]) -> None:
        self._soon, self._later = _ways_of_trio() if sniffio.current_async_library() == "trio" else _ways_of_asyncio()
        self._now = now
        self._look = look
        self._until = inf
        self._timer: Call = _nothing
        self.lost: bool = False

    def post(self, call: Call) -> None:
        """Make ``call`` in the loop, after those posted before. Where the loop has ended the line is ``lost``."""
        try:
            self._soon(call)
        except RuntimeError:
            self.lost = True

    def probe(self) -> None:
        """Find out whether the loop is still there."""
        self.post(_nothing)

    def expect(self, due: float) -> None:
        """Something is due: see to it that the loop looks by then. Under the broker's lock, as are the next two."""
        if due < self._until:
            self._until = due
            self.post(self._plan)

    def looked(self) -> None:
        """Nothing is expected any more."""
        self._until = inf

    def end(self) -> None:
        """Expect nothing from now on. Called in the loop."""
        self._until = -inf
        self._timer()

    def _plan(self) -> None:
        self._timer()
        if isfinite(self._until):
            try:
                self._timer = self._later(max(0.0, self._until - self._now()) + _TICK, partial(self._look, self))
            except RuntimeError:
                self.lost = True  # the loop is about to end and starts nothing more


def _nothing() -> None:
    pass


def _ways_of_asyncio() -> tuple[Callable[[Call], object], Callable[[float, Call], Call]]:
    """What runs a function soon in this loop, from any thread, and what runs one later, which gives its withdrawal."""
    loop, context = asyncio.get_running_loop(), contextvars.Context()
    # What is called runs in no task, by which the library would be known, and as nobody's part.
    context.run(sniffio.current_async_library_cvar.set, "asyncio")

    def later(seconds: float, call: Call) -> Call:
        return loop.call_later(seconds, call, context=context).cancel

    return partial(loop.call_soon_threadsafe, context=context), later


def _ways_of_trio() -> tuple[Callable[[Call], object], Callable[[float, Call], Call]]:
    """The same for a loop of trio."""

    def later(seconds: float, call: Call) -> Call:
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep(seconds)
                call()

        trio.lowlevel.spawn_system_task(wait)
        return scope.cancel

    return trio.lowlevel.current_trio_token().run_sync_soon, later
