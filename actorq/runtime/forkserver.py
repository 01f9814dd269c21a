"""The process that forks others for single attempts (``actorq.runtime.forks``), from the worker's side."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import anyio
import sniffio

from actorq.errors import ConfigError
from actorq.runtime.channel import PACKET, READY, Channel

END_WITHIN = 5.0

_PROGRAM = (
    "import json, sys; setup = json.load(sys.stdin); sys.path[:] = setup['path'];"
    " from actorq.isolated import main; main(setup)"
)


class ForkServer:
    """The process that forks: it has imported the user's code and waits. It ends with the thread that starts it."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    @classmethod
    async def start(cls, setup: Mapping[str, Any]) -> Self:
        """Start it and wait until it is ready. Raises ConfigError with what it said."""
        server = cls(*_spawn(setup))
        try:
            await anyio.wait_readable(server._control)
            said = server._control.recv(PACKET)
        except ConnectionResetError:
            said = b""
        except BaseException:
            server._process.kill()  # it may be busy importing, and would not notice that nobody wants it any more
            server.close()
            raise
        if said != READY:
            server.close()
            why = said.decode() or f"it ended with {server._process.returncode}"
            raise ConfigError(f"no attempt can have a process of its own, {setup['app']} cannot be run there: {why}")
        return server

    async def fork(self, key: bytes) -> Channel:
        """A new process, known as ``key``. Raises OSError."""
        ours, theirs = Channel.pair()
        ours.settimeout(0)
        try:
            with theirs:
                await self.ask(key, theirs.fileno())
        except BaseException:
            ours.close()
            raise
        return Channel(ours)

    async def ask(self, key: bytes, *descriptors: int) -> None:
        """Have the process ``key`` forked, with a descriptor, or killed. Raises OSError if this one has ended."""
        while True:
            try:
                socket.send_fds(self._control, [key], descriptors)
            except BlockingIOError:
                await anyio.wait_writable(self._control)
            else:
                return

    def close(self) -> None:
        """End it and all that it has forked."""
        self._control.close()
        try:
            self._process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _spawn(setup: Mapping[str, Any]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = Channel.pair()
    ours.settimeout(0)
    told = {
        **setup, "path": [str(entry) for entry in sys.path], "argv": sys.argv, "worker": os.getpid(),
        "control": theirs.fileno(), "backend": sniffio.current_async_library(), "level": logging.getLogger().level,
    }  # fmt: skip
    try:
        with theirs:
            process = subprocess.Popen(  # noqa: S603  a list of our own, never a shell
                [sys.executable, "-P", "-c", _PROGRAM, setup["app"]], stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
    except BaseException:
        ours.close()
        raise
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(told).encode())
    return process, ours
