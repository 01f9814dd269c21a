"""A worker process as one of a crew: what it was told at its start, and the line to its parent.

The parent says how far stopping has gone; the end of the line says that the parent is gone, and then this process ends,
too (semantics F, layer 4). It says when it is ready, or why it cannot run: the parent tells people.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from actorq.cli.exits import GAVE_UP, INTERRUPTED, Exit, describe
from actorq.runtime.channel import Channel, wait_until_gone
from actorq.runtime.shutdown import Shutdown

VARIABLE = "ACTORQ_CREW"
READY, FAILED, STOP, HURRY = "ready", "failed", "stop", "hurry"

# A process whose parent is gone ends within 5 s.
ORPHAN_SECONDS = 4.5


class Member:
    """This process, as long as the ``with`` block lasts. What fails in it is told to the parent, in silence here."""

    def __init__(self, name: str, url: str | None, end: socket.socket) -> None:
        self.name = name
        self.url = url
        self._end = end
        self._line = Channel(end)

    @classmethod
    def of_environment(cls) -> Self | None:
        """None if no parent has started this process. What this one starts does not see it any more."""
        told = os.environ.pop(VARIABLE, None)
        if told is None:
            return None
        known = json.loads(told)
        end = socket.socket(fileno=known["line"])
        end.set_inheritable(False)
        end.settimeout(0)
        return cls(known["name"], known["url"], end)

    def __enter__(self) -> Self:
        threading.Thread(target=_outlive, args=(self._end,), name="actorq parent watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, SystemExit):
            return
        code, text = describe(error if isinstance(error, Exception) else Exit(INTERRUPTED, "interrupted"))
        self.failed(text)
        raise SystemExit(code) from error

    def ready(self) -> None:
        """Tell the parent."""
        self._say(READY)

    def failed(self, why: str) -> None:
        """Tell the parent."""
        self._say(FAILED, why)

    async def watch(self, shutdown: Shutdown) -> None:
        """Stop when the parent says so, and at once when it is gone; until cancelled."""
        await watch_parent(self._line, shutdown)

    def _say(self, *message: str) -> None:
        with suppress(OSError):  # nobody listens any more: this process ends soon
            self._line.send(*message)


async def watch_parent(line: Channel, shutdown: Shutdown) -> None:
    """Turn what a parent says into requests, until it is gone."""
    while True:
        match await line.get():
            case ["stop"]:
                # Not a signal, which would be the second where a service manager sends SIGTERM to every process.
                shutdown.request("the parent process stops")
            case ["hurry"]:
                shutdown.hurry("the parent process cancels")
            case None:
                return shutdown.hurry("the parent process is gone")
            case _:
                pass


def _outlive(end: socket.socket) -> None:
    """End this process a little after its parent, whatever its event loop does."""
    wait_until_gone(end)
    threading.Event().wait(ORPHAN_SECONDS)
    os._exit(GAVE_UP)
