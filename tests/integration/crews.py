"""``actorq worker --workers N`` as real processes: the parent is started here, its children are found by its pid."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import psutil

from actorq.testing import wait_until
from tests.integration.processes import ROOT, Lab


class Crew:
    """A parent named ``crew``, and its worker processes. ``environment``: variables besides."""

    def __init__(self, lab: Lab, *options: str, **environment: str) -> None:
        self._folder = lab.folder
        self._stderr, self._stdout = lab.folder / "crew.stderr", lab.folder / "crew.stdout"
        told = {"ACTORQ_TEST_SYSTEM": lab.name, "ACTORQ_TEST_LOGS": str(lab.folder), "NATS_URL": lab.url}
        command = (
            sys.executable, "-m", "actorq", "worker", "tests.integration.crew_tasks:system", "--name", "crew", *options,
        )  # fmt: skip
        with self._stderr.open("wb") as stderr, self._stdout.open("wb") as stdout:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | told | environment, stdout=stdout, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        self._seen: set[psutil.Process] = set()

    @property
    def said(self) -> str:
        return self._stderr.read_text()

    @property
    def data(self) -> str:
        return self._stdout.read_text()

    def children(self) -> list[psutil.Process]:
        """Its worker processes, oldest first."""
        try:
            found = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []
        found = [child for child in found if child.status() != psutil.STATUS_ZOMBIE]
        self._seen.update(found)
        return sorted(found, key=psutil.Process.create_time)

    def living(self) -> list[psutil.Process]:
        """All worker processes that were ever seen and still live, also without a parent."""
        return [child for child in self._seen if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    async def ready(self) -> list[psutil.Process]:
        def is_ready() -> bool:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.said}"
            return "\nready\n" in self.said

        await wait_until(is_ready, timeout=30, description="the crew is ready")
        return self.children()

    async def ended(self, timeout: float = 30) -> int:
        await wait_until(lambda: self.process.poll() is not None, timeout=timeout, description="the parent ends")
        return self.process.returncode

    async def says(self, text: str, timeout: float = 20) -> None:
        await wait_until(lambda: text in self.said, timeout=timeout, description=f"it says {text!r}")

    def close(self) -> None:
        """End all of it."""
        self.children()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for child in self.living():
            child.kill()

    # ---- what its processes did

    def log(self) -> list[tuple[int, str, str]]:
        """(pid, what, task id) of all processes of the lab; in the order of each process."""
        logs = [(int(path.stem), path.read_text().splitlines()) for path in self._folder.glob("*.log")]
        return [(pid, what, task) for pid, lines in logs for what, task in (line.split(" ") for line in lines)]

    def starts(self) -> Counter[str]:
        return Counter(task for _, what, task in self.log() if what == "start")

    def in_flight(self, pid: int | None = None) -> set[str]:
        """Tasks that were started, in one process or any, and not ended there."""
        log = [entry for entry in self.log() if pid in (None, entry[0])]
        ended = {(process, task) for process, what, task in log if what == "end"}
        return {task for process, what, task in log if what == "start" and (process, task) not in ended}
