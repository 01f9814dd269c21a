"""A process with one thread that forks others, one for each attempt, and tells how each ended (Linux).

Knows nothing of what they do. They end with it, and it ends with the worker that started it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from actorq.runtime.channel import Channel, wait_until_gone

log: logging.Logger = logging.getLogger("actorq.worker")

_TIE_TO_PARENT = 1  # PR_SET_PDEATHSIG


class Forks:
    """Serves the socket ``control``: a key with a descriptor starts a process, the key alone kills it.

    ``run`` is what each does with the channel that came as the descriptor. Make it before anything is imported that
    could hang: from then on this process ends with ``worker``, its parent.
    """

    def __init__(self, control: socket.socket, worker: int) -> None:
        self._control = control
        self._worker = worker
        self._children: dict[int, tuple[bytes, socket.socket]] = {}
        self._pid = os.getpid()
        self._woken, self._waker = socket.socketpair()
        self._waker.settimeout(0)
        self._listen()
        _tie_to_parent(signal.SIGTERM)
        self._end_if_orphaned()

    def _listen(self) -> None:
        signal.signal(signal.SIGTERM, self._end_if_orphaned)
        _leave_to_the_worker(signal.SIGINT, signal.SIGCHLD)

    def serve(self, run: Callable[[Channel], None]) -> None:
        """Go on until the worker closes its end; then kill all that still run."""
        self._listen()  # once more: what was imported meanwhile may have had its own ideas
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)  # not before: trio takes it for its own
        try:
            while True:
                readable, _, _ = select.select([self._control, self._woken], [], [])
                if self._woken in readable:
                    self._woken.recv(4096)
                    self._reap()
                if self._control in readable:
                    key, descriptors, _, _ = socket.recv_fds(self._control, 64, 1)
                    if not key:
                        return
                    if descriptors:
                        self._fork(key, socket.socket(fileno=descriptors[0]), run)
                    else:
                        self._kill(key)
        finally:
            self._end_all()

    def _fork(self, key: bytes, end: socket.socket, run: Callable[[Channel], None]) -> None:
        end.set_inheritable(False)
        try:
            pid = os.fork()
        except OSError as error:
            Channel(end).last_words("ended", f"it cannot be forked: {error}")
            end.close()
            return
        if pid == 0:
            self._become_child(end, run)
        with suppress(OSError):  # it did so itself, or has ended
            os.setpgid(pid, pid)
        self._children[pid] = key, end

    def _become_child(self, end: socket.socket, run: Callable[[Channel], None]) -> NoReturn:
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _leave_to_the_worker(signal.SIGTERM)
            _tie_to_parent(signal.SIGKILL)
            if os.getppid() == self._pid:
                others = [other for _, other in self._children.values()]
                for inherited in (self._control, self._woken, self._waker, *others):
                    inherited.close()
                threading.Thread(target=_end_with, args=(end,), name="actorq worker watch", daemon=True).start()
                run(Channel(end))
                code = 0
        except BaseException:
            log.exception("a process that was made for one attempt failed")
            raise
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(code)

    def _kill(self, key: bytes) -> None:
        for pid, (known, _) in self._children.items():
            if known == key:
                _kill_group(pid)

    def _reap(self) -> None:
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                _, end = self._children.pop(pid)
                Channel(end).last_words("ended", _told(os.waitstatus_to_exitcode(status)))
                end.close()

    def _end_all(self) -> None:
        for pid in self._children:
            _kill_group(pid)
        while self._children:
            os.waitpid(self._children.popitem()[0], 0)

    def _end_if_orphaned(self, _: int = 0, __: FrameType | None = None) -> None:
        if os.getpid() == self._pid and os.getppid() != self._worker:
            self._end_all()
            os._exit(1)


def _leave_to_the_worker(*numbers: signal.Signals) -> None:
    """Terminals and service managers signal whole groups, but how work ends is the worker's decision.

    A handler, and not SIG_IGN, which programs that are started from here would inherit.
    """
    for number in numbers:
        signal.signal(number, _ignore)


def _ignore(_: int, __: FrameType | None) -> None:
    pass


def _tie_to_parent(number: signal.Signals) -> None:
    """Have the kernel send this signal when the thread that forked this process ends."""
    _libc.prctl(_TIE_TO_PARENT, number, 0, 0, 0)


def _end_with(end: socket.socket) -> None:
    """End this process and its children once the worker has gone: also while its own loop is blocked."""
    wait_until_gone(end)
    os.killpg(0, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {signal.Signals(-code).name}"


_libc = ctypes.CDLL(None)
