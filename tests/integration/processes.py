"""Real worker processes for fault tests: started, watched, killed by their pid, and their logs read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from actorq.testing import wait_until

ROOT = Path(__file__).parents[2]
TASKS = "tests.integration.tasks:system"


@dataclass
class Lab:
    """One system over one broker: where its workers log, and which were started."""

    name: str
    url: str
    folder: Path
    started: list[WorkerProcess] = field(default_factory=list["WorkerProcess"])

    def worker(self, *options: str, backend: str = "asyncio", target: str = TASKS) -> WorkerProcess:
        process = WorkerProcess(self, f"w{len(self.started)}", target, (*options, "--backend", backend))
        self.started.append(process)
        return process

    def starts(self) -> Counter[str]:
        """How often each task was started, over all processes."""
        return Counter(task for process in self.started for what, task in process.log() if what == "start")


class WorkerProcess:
    """``actorq worker`` as its own process; killed at the end of the ``with`` block if it still runs."""

    def __init__(self, lab: Lab, name: str, target: str, options: tuple[str, ...]) -> None:
        self.name = name
        self._lab = lab
        self._stderr = lab.folder / f"{name}.stderr"
        environment = os.environ | {"ACTORQ_TEST_SYSTEM": lab.name, "ACTORQ_TEST_LOGS": str(lab.folder)}
        command = (
            sys.executable, "-m", "actorq", "worker", target, "--server", lab.url, "--name", name, *options,
        )  # fmt: skip
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def said(self) -> str:
        return self._stderr.read_text()

    async def ready(self) -> Self:
        def is_ready() -> bool:
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}: {self.said}"
            return "\nready\n" in self.said or '"message": "ready"' in self.said

        await wait_until(is_ready, timeout=30, description=f"{self.name} is ready")
        return self

    def log(self) -> list[tuple[str, str]]:
        """(what, task id), in the order in which it happened. A line cut off by a kill cannot be: writes are whole."""
        path = self._lab.folder / f"{self.process.pid}.log"
        if not path.exists():
            return []
        return [(what, task) for what, task in (line.split(" ") for line in path.read_text().splitlines())]

    def in_flight(self) -> set[str]:
        """Tasks that it has started and not ended."""
        log = self.log()
        return {task for what, task in log if what == "start"} - {task for what, task in log if what == "end"}

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    async def ended(self, timeout: float = 60) -> int:
        await wait_until(lambda: self.process.poll() is not None, timeout=timeout, description=f"{self.name} ends")
        return self.process.returncode


@contextmanager
def all_ended(lab: Lab) -> Generator[Lab]:
    """Whatever happens, no process of the lab is left."""
    try:
        yield lab
    finally:
        for process in lab.started:
            process.kill()
