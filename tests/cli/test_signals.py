"""How workers and servers end: by a signal, or because their broker ended."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, shell_in, wait_until

pytestmark = pytest.mark.broker
OWN = ("worker", "shop:system", "--embedded", "-s", "nats://127.0.0.1:0", "--json")


@pytest.fixture
def shell(memory: Shell, tmp_path: Path) -> Iterator[Shell]:
    # All temporary files go here: what is in it afterwards was left behind.
    (tmp_path / "tmp").mkdir()
    memory.environment["TMPDIR"] = str(tmp_path / "tmp")
    yield memory
    memory.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def ready(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    known: dict[str, object] = json.loads(process.stdout.readline())
    return known


def broker_of(worker: subprocess.Popen[str]) -> int:
    children = Path(f"/proc/{worker.pid}/task").glob("*/children")
    return next(int(pid) for file in children for pid in file.read_text().split())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_worker_ends_with_its_own_broker(shell: Shell, backend: str) -> None:
    worker = shell.start(*OWN, "--backend", backend)
    ready(worker)
    os.kill(broker_of(worker), signal.SIGKILL)
    out, talk = worker.communicate(timeout=30)
    assert worker.returncode == 69
    last = talk.splitlines()[-1]
    assert last.startswith("actorq: the embedded broker ended: killed by signal 9; ")
    assert "Server is ready" in last
    assert json.loads(out)["error"]["type"] == "BrokerUnavailable"


def test_a_server_ends_with_the_last_words_of_its_broker(shell: Shell) -> None:
    server = shell.start("server", "--port", "0", "--json")
    pid = ready(server)["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    _, talk = server.communicate(timeout=30)
    assert server.returncode == 69
    assert "actorq: the embedded broker ended: killed by signal 9; " in talk
    assert "Server is ready" in talk


def test_a_terminal_that_closes_ends_a_server_in_order(shell: Shell) -> None:
    process = shell.start("server", "--port", "0", "--json")
    ready(process)
    for _ in range(2):  # as the shell and the kernel do
        process.send_signal(signal.SIGHUP)
    _, talk = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "second signal" not in talk


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "crew"])
def test_a_terminal_that_closes_drains_a_worker(shell: Shell, options: tuple[str, ...]) -> None:
    said, (master, slave) = shell.folder / "talk", pty.openpty()
    # A session of its own, whose terminal it is; closing the other end hangs it up.
    mine = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    command = [sys.executable, "-c", mine, sys.executable, "-m", "actorq", *OWN, *options]
    with said.open("wb") as file:
        worker = subprocess.Popen(
            command, stdin=slave, stdout=file, stderr=file, start_new_session=True, cwd=shell.folder,
            env=shell.environment,
        )  # fmt: skip
    os.close(slave)
    wait_until(lambda: '"transport"' in said.read_text(), "it is ready")
    os.close(master)
    assert worker.wait(30) == 0
    assert "the terminal is gone" in said.read_text() or options


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "crew"])
def test_a_worker_goes_on_at_sighup(shell: Shell, options: tuple[str, ...]) -> None:
    said = shell.folder / "talk"
    with said.open("wb") as file:
        worker = shell.start(*OWN, *options, stderr=file)
    ready(worker)
    worker.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration" in said.read_text(), "it has looked for a configuration")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_a_worker_shows_its_tree_and_its_stacks_and_goes_on(shell: Shell) -> None:
    said = shell.folder / "talk"
    with said.open("wb") as file:
        worker = shell.start(*OWN, stderr=file)
    ready(worker)
    worker.send_signal(signal.SIGUSR1)
    wait_until(lambda: "supervision tree:" in said.read_text(), "the tree is printed")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert 'File "' in said.read_text()


def test_a_lifespan_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    shell = shell_in(tmp_path, "memory:")
    (tmp_path / "life.py").write_text(LIFE)
    finished = shell.run("worker", "life:system")
    assert finished.returncode == 70
    line = finished.stderr.splitlines()[-1]
    assert line.startswith("actorq: the lifespan of system 'life' failed: ConnectionError: no database (at ")
    assert line.endswith("life.py:6)")


LIFE = """from contextlib import asynccontextmanager
from actorq import ActorSystem

@asynccontextmanager
async def lifespan():
    raise ConnectionError("no database")
    yield

system = ActorSystem("life", lifespan=lifespan)
"""
