"""What signals do to a command that runs for long: end it in order, or show where it is."""

from __future__ import annotations

import faulthandler
import logging
import signal
from types import FrameType

log: logging.Logger = logging.getLogger("actorq.worker")

STDERR = 2


def listen(*, hangup: str = "") -> None:
    """Make SIGTERM and SIGHUP end this command as Ctrl-C does, so that it cleans up, and SIGUSR1 print all stacks.

    ``hangup``: what to log at SIGHUP instead of ending. A worker's own way with all of them comes first, once it runs.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which is what nohup asks for
        signal.signal(signal.SIGHUP, (lambda _, __: log.info(hangup)) if hangup else _terminate)
    signal.signal(signal.SIGUSR1, lambda _, __: faulthandler.dump_traceback(file=STDERR))


def _interrupt(_: int, __: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt  # in the background of a script, where shells switch SIGINT off
    signal.raise_signal(signal.SIGINT)  # an event loop may have its own way with that one


def _terminate(_: int, __: FrameType | None) -> None:
    # A terminal that closes says so twice, by its shell and by the kernel; the second time must not mean "at once".
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.raise_signal(signal.SIGTERM)
