"""The demo's job: the words of source files. Workers import it; so does the plain computation that checks them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sysconfig
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from actorq.model.retry import Retry
from actorq.runtime.context import Context
from actorq.system import ActorSystem

system: ActorSystem = ActorSystem("demo")

WORD = re.compile(r"[a-z_]{3,}")
SKIPPED = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Part:
    """What one task found in a file. The counts themselves are in the folder: values stay small."""

    name: str
    digest: str
    words: int


def sources() -> list[Path]:
    """The standard library's own source files."""
    root = Path(sysconfig.get_path("stdlib"))
    return sorted(path for path in root.rglob("*.py") if not SKIPPED.intersection(path.relative_to(root).parts))


def count(source: bytes) -> Counter[str]:
    """How often each word stands in a file."""
    return Counter(WORD.findall(source.decode(errors="replace").lower()))


def counts_file(folder: Path, number: int) -> Path:
    """Where the counts of a file go."""
    return folder / f"{number}.json"


@system.actor(concurrency=8, timeout="30s")
async def index(number: int, name: str, folder: str) -> Part:
    """Read a file, count its words in a thread, and leave the counts in ``folder``."""
    journal = Journal(Path(folder))
    journal.note("start", number)
    source = await anyio.Path(name).read_bytes()
    part = await anyio.to_thread.run_sync(_digest, source, number, name, Path(folder))
    journal.note("end", number)
    return part


def _digest(source: bytes, number: int, name: str, folder: Path) -> Part:
    words = count(source)
    path = counts_file(folder, number)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(words))
    unfinished.replace(path)
    return Part(name, hashlib.sha256(source).hexdigest(), words.total())


@system.actor(rate_limit="20/s", burst=1)
async def locate(word: str) -> str:
    """Where a word stands first, as ``file:line``; at most 20 look-ups a second."""
    for path in sources():
        text = await anyio.Path(path).read_text(errors="replace")
        for number, line in enumerate(text.lower().splitlines(), 1):
            if word in line and word in WORD.findall(line):
                return f"{path.name}:{number}"
    raise LookupError(word)


@system.actor(retry=Retry(max_attempts=3, initial="200ms", jitter=False))
async def publish(ctx: Context, folder: str, words: dict[str, int]) -> int:
    """Write the commonest words to a file; the disk is out of order twice. Gives the number of the attempt."""
    if ctx.attempt < 3:
        raise OSError("the demo's disk is out of order")
    await (anyio.Path(folder) / "top.json").write_text(json.dumps(words))
    return ctx.attempt


class Journal:
    """What a process has begun and ended: one line for each, still readable after the process was killed."""

    def __init__(self, folder: Path, pid: int | None = None) -> None:
        self._path = folder / f"{os.getpid() if pid is None else pid}.journal"

    def note(self, what: str, number: int) -> None:
        with self._path.open("a") as file:
            file.write(f"{what} {number}\n")

    def runs(self) -> list[int]:
        """The tasks that it began, repeats included."""
        return self._read("start")

    def in_flight(self) -> list[int]:
        """The tasks that it began and did not end."""
        begun = Counter(self._read("start"))
        begun.subtract(self._read("end"))
        return sorted(begun.elements())

    def _read(self, what: str) -> list[int]:
        try:
            lines = self._path.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [int(line.split()[1]) for line in lines if line.startswith(what)]
