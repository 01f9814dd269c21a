"""What is measured, once for both sides: actorq, and nats-py alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import anyio

from actorq.cli.processes import Process

WINDOW = 200
SLEEPS = 2_000
WARM_UP = 300
LIMITED = 10_000
TURNS = 3

Kind = Literal["results", "plain", "sleep", "threads"]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Conditions of one run. ``settings``: environment of the worker processes, with the way to the broker."""

    settings: Mapping[str, str]
    folder: Path
    prefix: str
    tasks: int
    processes: int
    backend: str

    @property
    def few(self) -> int:
        """How many, where each waits for the one before."""
        return max(2, min(2_000, self.tasks))


Pair = tuple[Figures, Figures]


class Side(Protocol):
    """A connection that sends tasks of one kind to workers of its own."""

    async def send(self) -> None:
        """One task, confirmed."""
        ...

    async def send_many(self, number: int) -> None:
        """Many tasks, pipelined, all confirmed."""
        ...

    async def ask(self) -> None:
        """One task, confirmed, and its result."""
        ...

    def deaf(self) -> None:
        """Listen to no results any more, as a producer that has gone away."""
        ...

    async def drained(self) -> None:
        """Wait until no task is left."""
        ...

    def worker(self, number: int) -> Process: ...


class Burdened(Side, Protocol):
    async def burden(self, number: int) -> None:
        """Tasks of a rate-limited actor in the same queue, which stay there."""
        ...


S = TypeVar("S", bound=Side)
Open = Callable[[Plan, Kind], AbstractAsyncContextManager[Side]]
Workload = Callable[[Plan, Open], Awaitable[Figures]]


async def enqueue(plan: Plan, opened: Open) -> Figures:
    async with opened(plan, "plain") as side:
        await side.send_many(WARM_UP)
        began = time.perf_counter()
        for _ in range(plan.few):
            await side.send()
        middle = time.perf_counter()
        await side.send_many(plan.tasks)
        return {
            "enqueue one by one, tasks/s": plan.few / (middle - began),
            "enqueue pipelined, tasks/s": plan.tasks / (time.perf_counter() - middle),
        }


async def drain(plan: Plan, opened: Open) -> Figures:
    stored = plan.tasks / await _drain(plan, opened, "results", plan.tasks)
    plain = plan.tasks / await _drain(plan, opened, "plain", plan.tasks)
    return {"drain, results stored, tasks/s": stored, "drain, no results, tasks/s": plain}


async def threads(plan: Plan, opened: Open) -> Figures:
    return {"drain through threads, tasks/s": plan.tasks / await _drain(plan, opened, "threads", plan.tasks)}


async def sleep(plan: Plan, opened: Open) -> Figures:
    ideal = SLEEPS * 0.1 / 100 / plan.processes
    return {f"{SLEEPS:,} sleeps of 100 ms (ideal {ideal:g} s), s": await _drain(plan, opened, "sleep", SLEEPS)}


async def window(plan: Plan, opened: Open) -> Figures:
    each = max(1, plan.tasks // WINDOW)
    async with opened(plan, "results") as side:
        with crew(plan, side):
            await _ask(side, WARM_UP)
            began = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for _ in range(WINDOW):
                    tasks.start_soon(_ask, side, each)
            taken = time.perf_counter() - began
    return {f"submit and await, {WINDOW} in flight, tasks/s": WINDOW * each / taken}


async def latency(plan: Plan, opened: Open) -> Figures:
    async with opened(plan, "results") as side:
        with crew(plan, side):
            await _ask(side, WARM_UP)
            times: list[float] = []
            for _ in range(plan.few):
                began = time.perf_counter()
                await side.ask()
                times.append(time.perf_counter() - began)
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {f"submit and await one, p{p}, ms": cuts[p - 1] * 1e3 for p in (50, 95, 99)}


async def memory(plan: Plan, opened: Open) -> Figures:
    async with opened(plan, "results") as side:
        with crew(plan, side) as workers:
            return {"worker memory, idle, MiB": statistics.fmean(worker.memory() for worker in workers)}


async def beside_limited(plan: Plan, opened: Callable[[Plan, Kind], AbstractAsyncContextManager[Burdened]]) -> Pair:
    """Drained beside a rate-limited actor of the same queue, and alone: in turns, for machines are not steady."""

    async def burdened(side: Burdened) -> None:
        await side.burden(LIMITED)

    beside, alone = list[float](), list[float]()
    for _ in range(TURNS):
        alone.append(await _drain(plan, opened, "plain", plan.tasks))
        beside.append(await _drain(plan, opened, "plain", plan.tasks, burdened))
    name = f"drain beside a 1/s actor with {LIMITED:,} waiting, and without it, tasks/s"
    return {name: plan.tasks / statistics.median(beside)}, {name: plan.tasks / statistics.median(alone)}


LIMIT = "limited"
"""Measured beside actorq itself, not beside nats-py."""
WORKLOADS: dict[str, Workload] = {
    "enqueue": enqueue, "drain": drain, "window": window, "latency": latency, "sleep": sleep, "threads": threads,
    "memory": memory,
}  # fmt: skip


@contextmanager
def crew(plan: Plan, side: Side) -> Generator[list[Process]]:
    """Running worker processes, ended in any case."""
    workers = [side.worker(number) for number in range(plan.processes)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_ready()
        yield workers
    finally:
        for worker in workers:
            worker.kill()


async def _drain(
    plan: Plan, opened: Callable[[Plan, Kind], AbstractAsyncContextManager[S]], kind: Kind, number: int,
    before: Callable[[S], Awaitable[None]] | None = None,
) -> float:  # fmt: skip
    """Seconds from the moment that the workers may begin until the last task is acknowledged."""
    async with opened(plan, kind) as side:
        if before is not None:
            await before(side)
        side.deaf()
        with crew(plan, side) as workers:
            if kind != "sleep":
                await side.send_many(WARM_UP)
            await side.drained()
            for worker in workers:
                worker.freeze()
            await side.send_many(number)
            began = time.perf_counter()
            for worker in workers:
                worker.thaw()
            await side.drained()
            return time.perf_counter() - began


async def _ask(side: Side, number: int) -> None:
    for _ in range(number):
        await side.ask()
