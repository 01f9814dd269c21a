"""Worker processes that a command starts, measures, kills, and never leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from actorq.cli.exits import GAVE_UP, Exit
from actorq.embedded import tied

READY_WITHIN = 20.0
STOP_WITHIN = 15.0
POLL = 0.01


class Process:
    """A Python program of our own that prints one line when it is ready. ``arguments`` follow the interpreter.

    ``settings``: environment variables, instead of all that begin with NATS_ or ACTORQ_.
    """

    def __init__(self, name: str, folder: Path, arguments: Sequence[str], settings: Mapping[str, str]) -> None:
        self.name = name
        self.log: Path = folder / f"{name}.log"
        self._out = folder / f"{name}.out"
        self._command = tied([sys.executable, *arguments])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "ACTORQ_"))}
        # A configuration that lies here is not for them.
        self._environment = kept | {"ACTORQ_CONFIG": os.devnull} | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the command."""
        with self._out.open("wb") as out, self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  a list of our own, never a shell
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self._environment,
                start_new_session=True,
            )  # fmt: skip

    def wait_ready(self) -> None:
        """Wait for its line. Raises Exit with the end of its log if it does not come."""
        assert self._process is not None, "start() comes first"
        end = time.monotonic() + READY_WITHIN
        while not self._out.read_bytes().endswith(b"\n"):
            if self._process.poll() is not None or time.monotonic() > end:
                raise self._not_started()
            time.sleep(POLL)
        if self._out.read_bytes().startswith(b'{"error"'):
            raise self._not_started()

    def _not_started(self) -> Exit:
        lines = self.log.read_text(errors="replace").splitlines()
        return Exit(GAVE_UP, f"process {self.name} did not start: {'; '.join(lines[-3:]) or 'it said nothing'}")

    def freeze(self) -> None:
        """Stop its clock (SIGSTOP) until ``thaw``."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in order, or at once if it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()

    def memory(self) -> float:
        """Resident memory in MiB, from /proc."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def worker_process(name: str, folder: Path, target: str, settings: Mapping[str, str], *flags: str) -> Process:
    """``actorq worker`` for ``target``; it is ready once its mailboxes are bound."""
    arguments = ("-m", "actorq", "worker", target, "-n", name, "-l", "warning", "--json", *flags)
    return Process(name, folder, arguments, settings)
