"""The I/O thread: an asyncio loop of its own, and the ways into and out of it.

Two loops of two threads talk in batches: calls wait in a queue, and one wake-up serves all that wait. Nothing here
knows of brokers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, TypeVar

import sniffio

T = TypeVar("T")
Soon = Callable[[Callable[[], None]], object]
"""Runs a function soon in some loop, from any thread; raises RuntimeError once that loop is gone."""


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where that is installed."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def soon_here() -> Soon:
    """The way into the loop that runs this."""
    if sniffio.current_async_library() == "trio":
        soon: Soon = import_module("trio").lowlevel.current_trio_token().run_sync_soon
        return soon
    return asyncio.get_running_loop().call_soon_threadsafe


class Way:
    """Calls on their way into one loop, made there in batches and in their order. Any thread may post."""

    __slots__ = ("_calls", "_gone", "_rung", "_soon")

    def __init__(self, soon: Soon, gone: Callable[[], None] = lambda: None) -> None:
        """``gone`` is called (by the poster) when the loop turns out to have ended."""
        self._soon = soon
        self._gone = gone
        self._calls: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._rung = False

    def post(self, call: Callable[[T], object], argument: T) -> None:
        """Make ``call(argument)`` there."""
        self._calls.append((call, argument))
        if not self._rung:
            self._ring()

    def _ring(self) -> None:
        self._rung = True
        try:
            self._soon(self._run)
        except RuntimeError:
            self._gone()

    def _run(self) -> None:
        # Before the queue is looked at: what is posted after this line rings again.
        self._rung = False
        calls = self._calls
        try:
            for _ in range(len(calls)):
                call, argument = calls.popleft()
                call(argument)
        finally:
            if calls and not self._rung:
                self._ring()


class IoThread:
    """A daemon thread that runs one coroutine in a loop of its own. ``way`` leads into that loop."""

    def __init__(self, name: str) -> None:
        """``start`` has to follow: it is what closes the loop in the end."""
        self.loop = new_loop()
        self.way = Way(self.loop.call_soon_threadsafe)
        self._name = name
        self._thread: threading.Thread | None = None

    def start(self, main: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> None:
        """Run ``main()`` until it returns, then call ``ended`` on that thread."""
        self._thread = threading.Thread(target=self._run, args=(main, ended), name=self._name, daemon=True)
        self._thread.start()

    def _run(self, main: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(main())
        finally:
            ended()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, at most ``timeout`` seconds. Blocks."""
        if self._thread is not None:
            self._thread.join(timeout)
