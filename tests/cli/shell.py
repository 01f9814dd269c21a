"""A shell in a folder with a module ``shop``, and what to wait for in it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

SHOP = """
import logging
from actorq import ActorSystem, Context, Retry

system = ActorSystem("shop")

@system.actor
async def add(a: int, b: int) -> int:
    logging.getLogger("shop").warning("adding")
    return a + b

@system.actor(retry=Retry(max_attempts=1))
def fail(text: str) -> None:
    raise ValueError(text)

@system.actor(queue="media")
def thumbnail(path: str, size: int = 128) -> str:
    return f"{path} at {size}"

@system.actor
async def kinds(text: str, either: str | int, untyped, *rest: str, ctx: Context) -> str:
    return repr([text, either, untyped, *rest])
"""


class Shell:
    """Runs actorq in a folder with a module ``shop``; ends what it started."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "ACTORQ_"))}
        self.environment = kept | {"NATS_URL": url}
        self.started: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "actorq", *arguments], capture_output=True, text=True, timeout=60, check=False,
            cwd=self.folder, env=self.environment | environment,
        )  # fmt: skip

    def start(self, *arguments: str, stderr: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "actorq", *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True,
            cwd=self.folder, env=self.environment,
        )  # fmt: skip
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


def shell_in(folder: Path, url: str) -> Shell:
    (folder / "shop.py").write_text(SHOP)
    return Shell(folder, url)


def one_line(finished: subprocess.CompletedProcess[str], code: int) -> str:
    assert finished.returncode == code, finished.stderr
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1, finished.stderr
    return finished.stderr


def wait_until(holds: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
    end, pause = time.monotonic() + timeout, threading.Event()
    while not holds():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        pause.wait(0.02)


def sockets(pid: int) -> int:
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += str(descriptor.readlink()).startswith("socket:")
    return found
