"""``actorq demo``: real work on a real broker, with one worker process killed in the middle of it."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from actorq.cli import signals
from actorq.cli.demo_tasks import Journal, Part, count, counts_file, index, locate, publish, sources, system
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
RATE = 20

Tick = Callable[[], None]


@dataclass(slots=True)
class Run:
    """What happened. Times in seconds. ``places``: where the commonest words stand; ``attempts``: of the flaky task."""

    files: Sequence[Path]
    parts: list[Part] = field(default_factory=list[Part])
    in_flight: int = 0
    runs: int = 0
    seconds: float = 0.0
    top: dict[str, int] = field(default_factory=dict[str, int])
    places: list[str] = field(default_factory=list[str])
    places_took: float = 0.0
    attempts: int = 0
    restarts: list[str] = field(default_factory=list[str])


def demo(*, backend: Literal["asyncio", "trio"] = "asyncio", as_json: Json = False) -> int:
    """Index the words of Python's standard library with two worker processes, one of which is killed on the way.

    Its parent starts another one. A rate-limited actor then looks up the commonest words, and a flaky one succeeds at
    its third attempt. Broker, workers and data live in temporary folders and are gone at the end. Exit code 0 only if
    every file was counted exactly once and the index equals that of a plain single-process computation.

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
                anyio.run(_work, run, folder, tick, backend=backend)
            run.restarts = [line for line in crew.log.read_text().splitlines() if "worker process" in line]
        run.runs = sum(len(Journal(folder, int(path.stem)).runs()) for path in folder.glob("*.journal"))
        merged, expected = _merged(folder, run.parts, run.files), _plainly(run.files)
    checks = {
        "every file is counted exactly once": sorted(part.name for part in run.parts) == [str(f) for f in run.files],
        "the index equals that of a single process": merged == expected,
        "a worker was killed with work in flight": run.in_flight > 0,
        "its parent started another one": any("restart 1 of" in line for line in run.restarts),
        "the flaky task succeeded at its third attempt": run.attempts == 3,
        "the rate limit held": run.places_took >= (len(run.places) - 1) / RATE,
    }
    _report(run, merged, checks, as_json=as_json)
    return OK if all(checks.values()) else FAILED


@contextmanager
def _crew(folder: Path, url: str, backend: str) -> Generator[Process]:
    flags = ("--workers", "2", "--ack-wait", LEASE, "--backend", backend)
    crew = worker_process("demo", folder, TARGET, {"ACTORQ_TRANSPORT": url}, *flags)
    try:
        crew.start()
        crew.wait_ready()
        yield crew
    finally:
        crew.stop()


@contextmanager
def _bar(total: int) -> Generator[Tick]:
    console = Console(stderr=True)
    layout = (TextColumn("counting"), BarColumn(), MofNCompleteColumn())
    with Progress(*layout, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


async def _work(run: Run, folder: Path, tick: Tick) -> None:
    with anyio.move_on_after(LIMIT):
        async with system:
            pids = await _pids()
            began = time.monotonic()
            calls = [(number, str(path), str(folder)) for number, path in enumerate(run.files)]
            handles = await index.send_many(calls)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_kill_one, run, pids, folder)
                for handle in handles:
                    tasks.start_soon(_collect, run, handle, tick)
            run.seconds = time.monotonic() - began
            await _look_up(run, folder)
        return
    raise Exit(
        TIMED_OUT, f"{len(run.parts)} of {len(run.files)} tasks were done after {LIMIT:g} s: is this machine very busy?"
    )


async def _collect(run: Run, handle: Handle[Part], tick: Tick) -> None:
    run.parts.append(await handle)
    tick()


async def _look_up(run: Run, folder: Path) -> None:
    """What comes after the index: a rate-limited actor, and one that fails twice."""
    run.top = dict(_merged(folder, run.parts, run.files).most_common(TOP))
    began = time.monotonic()
    flaky = await publish.send(str(folder), run.top)
    run.places = [await handle for handle in await locate.send_many([(word,) for word in run.top])]
    run.places_took = time.monotonic() - began
    talk(f"{len(run.places)} words looked up in {run.places_took:.2f} s by an actor limited to {RATE} a second")
    run.attempts = await flaky
    talk(f"the flaky task failed {run.attempts - 1} times and succeeded at attempt {run.attempts}")


async def _kill_one(run: Run, pids: Sequence[int], folder: Path) -> None:
    """SIGKILL a worker process that has work in flight; its parent starts another one."""
    while len(run.parts) < len(run.files):
        await anyio.sleep(0.005)
        if len(run.parts) < KILL_AT * len(run.files):
            continue
        os.kill(pids[0], signal.SIGSTOP)
        held = Journal(folder, pids[0]).in_flight()
        if not held:
            os.kill(pids[0], signal.SIGCONT)
            continue
        os.kill(pids[0], signal.SIGKILL)
        run.in_flight = len(held)
        talk(f"killed a worker process (SIGKILL) with {len(held)} tasks in flight; their leases end in {LEASE}")
        while not {*await _pids()} - {*pids}:
            await anyio.sleep(0.05)
        talk("its parent has started another one")
        return


async def _pids() -> list[int]:
    """Of the workers, which they tell by themselves."""
    answers = await system.client.ask_workers("info", {}, enough=lambda _: False)
    return sorted(pid for answer in answers if isinstance(pid := answer.get("pid"), int))


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
        "workers_restarted": len(run.restarts),
        "retries": run.attempts - 1,
        "tasks_per_second": round(len(run.parts) / run.seconds, 1),
        "seconds": round(run.seconds, 2),
    }
    if as_json:
        document({**facts, "checks": checks})
        return
    words = zip(merged.most_common(TOP), run.places, strict=True)
    facts["top"] = ", ".join(f"{word} {number:,} ({place})" for (word, number), place in words)
    data(columns([(name.replace("_", " "), str(value)) for name, value in facts.items()]))
    for line in run.restarts:
        data(f"the parent: {line.partition(': ')[2]}")
    for check, holds in checks.items():
        data(f"{'yes' if holds else 'NO '}  {check}")
