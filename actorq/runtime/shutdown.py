"""Stopping in order (E-6): the first signal drains, the second cancels, the third ends the process."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import contextmanager

import anyio
from anyio.abc import TaskStatus

log: logging.Logger = logging.getLogger("actorq.worker")


class Shutdown:
    """How far stopping has gone. ``exit_code`` is 0 unless something asked for another."""

    def __init__(self) -> None:
        self.exit_code: int = 0
        self.reason: str = ""
        self.requested: anyio.Event = anyio.Event()
        self.impatient: anyio.Event = anyio.Event()

    def request(self, reason: str, exit_code: int = 0) -> None:
        """Ask for an orderly stop. That others have asked before, or will, changes nothing."""
        if not self.requested.is_set():
            self.reason = reason
            self.requested.set()
        self.exit_code = max(self.exit_code, exit_code)

    def hurry(self, reason: str) -> None:
        """Ask for one that cancels what runs."""
        self.request(reason)
        self.reason = reason
        self.impatient.set()


class Hangup:
    """Tells what a SIGHUP means: that somebody wants a reload, or that the terminal has gone away."""

    def __init__(self) -> None:
        self.ignored: bool = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # which is what nohup asks for
        self._had_terminal = _has_terminal()

    @property
    def terminal_is_gone(self) -> bool:
        return self._had_terminal and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextmanager
def receiving(*numbers: signal.Signals) -> Generator[AsyncIterator[signal.Signals]]:
    """Signals as values; afterwards they mean what they meant before, which asyncio forgets. Main thread only."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        with anyio.open_signal_receiver(*numbers) as signals:
            yield signals
    finally:
        for number, meaning in before.items():
            signal.signal(number, meaning)


async def listen(
    shutdown: Shutdown,
    others: Mapping[signal.Signals, Callable[[], None]],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Turn SIGTERM and SIGINT into requests, and call ``others``, until cancelled. Main thread only."""
    with receiving(signal.SIGTERM, signal.SIGINT, *others) as signals:
        task_status.started()
        count = 0
        async for number in signals:
            if number in others:
                others[number]()
                continue
            count += 1
            if count == 3:
                log.warning("third signal: ending now; messages in progress are left to their leases")
                os._exit(128 + number)
            ask = shutdown.request if count == 1 else shutdown.hurry
            ask(signal.Signals(number).name)
