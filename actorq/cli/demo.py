"""``actorq demo``: real work on a real broker, with one worker killed in the middle of it."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from actorq.cli import signals
from actorq.cli.demo_tasks import Journal, Part, count, counts_file, index, sources, system
from actorq.cli.exits import FAILED, OK, TIMED_OUT, Exit
from actorq.cli.output import columns, data, document, talk
from actorq.cli.processes import Process, worker_process
from actorq.cli.settings import Json
from actorq.embedded import EmbeddedBroker
from actorq.handle import Handle

TARGET = "actorq.cli.demo_tasks:system"
LEASE = "2s"
KILL_AT = 0.4
LIMIT = 55.0
TOP = 8

Tick = Callable[[], None]


@dataclass(slots=True)
class Run:
    """What happened. Times in seconds."""

    files: Sequence[Path]
    parts: list[Part] = field(default_factory=list[Part])
    in_flight: int = 0
    runs: int = 0
    seconds: float = 0.0


def demo(*, backend: Literal["asyncio", "trio"] = "asyncio", as_json: Json = False) -> int:
    """Index the words of Python's standard library with two workers, one of which is killed on the way.

    Broker, workers and data live in temporary folders and are gone at the end. Exit code 0 only if every file was
    counted exactly once and the index equals that of a plain single-process computation.

    Parameters
    ----------
    backend
        Event loop of the client and of the workers.
    """
    signals.listen()
    run = Run(sources())
    with tempfile.TemporaryDirectory(prefix="actorq-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with EmbeddedBroker() as broker, _crew(folder, broker.url, backend) as crew:
            talk(f"a broker, two workers, {len(run.files)} source files of Python's standard library")
            system.transport = broker.url
            with _bar(len(run.files)) as tick:
                anyio.run(_work, run, crew, folder, tick, backend=backend)
        run.runs = sum(len(Journal(folder, int(path.stem)).runs()) for path in folder.glob("*.journal"))
        merged, expected = _merged(folder, run.parts, run.files), _plainly(run.files)
    checks = {
        "every file is counted exactly once": sorted(part.name for part in run.parts) == [str(f) for f in run.files],
        "the index equals that of a single process": merged == expected,
        "a worker was killed with work in flight": run.in_flight > 0,
    }
    _report(run, merged, checks, as_json=as_json)
    return OK if all(checks.values()) else FAILED


@contextmanager
def _crew(folder: Path, url: str, backend: str) -> Generator[list[Process]]:
    settings = {"ACTORQ_TRANSPORT": url}
    flags = ("--ack-wait", LEASE, "--backend", backend)
    crew = [worker_process(name, folder, TARGET, settings, *flags) for name in ("first", "second")]
    try:
        for worker in crew:
            worker.start()
        for worker in crew:
            worker.wait_ready()
        yield crew
    finally:
        for worker in crew:
            worker.stop()


@contextmanager
def _bar(total: int) -> Generator[Tick]:
    console = Console(stderr=True)
    layout = (TextColumn("counting"), BarColumn(), MofNCompleteColumn())
    with Progress(*layout, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


async def _work(run: Run, crew: list[Process], folder: Path, tick: Tick) -> None:
    with anyio.move_on_after(LIMIT):
        async with system:
            began = time.monotonic()
            calls = [(number, str(path), str(folder)) for number, path in enumerate(run.files)]
            handles = await index.send_many(calls)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_kill_one, run, crew[0], folder)
                for handle in handles:
                    tasks.start_soon(_collect, run, handle, tick)
            run.seconds = time.monotonic() - began
        return
    raise Exit(
        TIMED_OUT, f"{len(run.parts)} of {len(run.files)} tasks were done after {LIMIT:g} s: is this machine very busy?"
    )


async def _collect(run: Run, handle: Handle[Part], tick: Tick) -> None:
    run.parts.append(await handle)
    tick()


async def _kill_one(run: Run, victim: Process, folder: Path) -> None:
    """SIGKILL a worker that has work in flight, and start it again."""
    while len(run.parts) < len(run.files):
        await anyio.sleep(0.005)
        if len(run.parts) < KILL_AT * len(run.files):
            continue
        victim.freeze()
        held = Journal(folder, victim.pid).in_flight()
        if not held:
            victim.thaw()
            continue
        victim.kill()
        run.in_flight = len(held)
        talk(f"killed worker {victim.name} (SIGKILL) with {len(held)} tasks in flight; their leases end in {LEASE}")
        victim.start()
        await anyio.to_thread.run_sync(victim.wait_ready)
        return


def _merged(folder: Path, parts: Sequence[Part], files: Sequence[Path]) -> Counter[str]:
    numbers = {str(path): number for number, path in enumerate(files)}
    total: Counter[str] = Counter()
    for part in parts:
        total.update(Counter[str](json.loads(counts_file(folder, numbers[part.name]).read_text())))
    return total


def _plainly(files: Sequence[Path]) -> Counter[str]:
    total: Counter[str] = Counter()
    for path in files:
        total.update(count(path.read_bytes()))
    return total


def _report(run: Run, merged: Counter[str], checks: dict[str, bool], *, as_json: bool) -> None:
    facts: dict[str, object] = {
        "files": len(run.files),
        "words": merged.total(),
        "top": dict(merged.most_common(TOP)),
        "tasks": len(run.parts),
        "in_flight_at_the_kill": run.in_flight,
        "run_again": run.runs - len(run.parts),
        "tasks_per_second": round(len(run.parts) / run.seconds, 1),
        "seconds": round(run.seconds, 2),
    }
    if as_json:
        document({**facts, "checks": checks})
        return
    facts["top"] = ", ".join(f"{word} {number:,}" for word, number in merged.most_common(TOP))
    data(columns([(name.replace("_", " "), str(value)) for name, value in facts.items()]))
    for check, holds in checks.items():
        data(f"{'yes' if holds else 'NO '}  {check}")
