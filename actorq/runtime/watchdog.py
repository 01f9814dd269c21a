"""Watches the event loop from a thread of its own (D-3): names what blocks it, ends a process whose loop is dead."""

from __future__ import annotations

import faulthandler
import logging
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

import anyio

log: logging.Logger = logging.getLogger("actorq.watchdog")

BEAT = 0.25
BLOCKED_AFTER = 1.0
DEAD_AFTER = 300.0
EXIT_DEAD = 70


class Watchdog:
    """Use as a context manager in the loop's thread, with ``beat`` running in the loop.

    ``overdue``: seconds of silence after which held work can no longer be kept, as of now. ``end``: what to do with a
    loop that is silent for longer; None to report only (the process is somebody else's).
    """

    def __init__(self, overdue: Callable[[], float], *, end: Callable[[], None] | None = None) -> None:
        self._overdue = overdue
        self._end = end
        self._last = time.monotonic()
        self._end_by = math.inf
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="actorq watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def wind_up(self, within: float) -> None:
        """From now on the loop has so many seconds until the ``with`` block ends, and then it is dead, too."""
        self._end_by = time.monotonic() + within

    async def beat(self) -> None:
        """Show that the loop lives, until cancelled."""
        while True:
            self._last = time.monotonic()
            await anyio.sleep(BEAT)

    def _watch(self) -> None:
        reported = False
        while not self._stopped.wait(BEAT):
            if self._end_by < math.inf:
                if time.monotonic() > self._end_by:
                    self._give_up("its tasks have been cancelled and do not end: look for code that ignores that")
                continue
            silent = time.monotonic() - self._last
            if silent < BLOCKED_AFTER:
                reported = False
            elif not reported:
                reported = True
                self._report(silent)
            if self._end is not None and silent > BLOCKED_AFTER and silent > min(DEAD_AFTER, self._overdue()):
                self._give_up(f"the event loop has been silent for {silent:.0f} s")

    def _give_up(self, why: str) -> None:
        if self._end is not None:
            log.critical("%s: ending the process; what it holds is left to its leases", why)
            faulthandler.dump_traceback(all_threads=True)
            self._end()

    def _report(self, silent: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if frame is None:
            return
        log.warning(
            "the event loop has been blocked for %.1f s in %s: declare the actor as a plain `def`, or await there\n%s",
            silent, _name(frame), "".join(traceback.format_stack(frame, limit=8)),
        )  # fmt: skip


def _name(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


def end_process() -> None:
    """End at once, without cleaning up: nothing in this process can be relied on."""
    sys.stderr.flush()
    os._exit(EXIT_DEAD)
