"""Workers and brokers killed in the middle of work: nothing lost, nothing run twice without need (D-1, D-2, D-5)."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

import anyio
import pytest

from actorq import ActorSystem, Handle
from actorq.embedded import EmbeddedBroker
from actorq.testing import wait_until
from tests.integration.processes import Lab, WorkerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


async def send(system: ActorSystem, count: int, longest: float, seed: int) -> list[Handle[int]]:
    chance = random.Random(seed)
    return await system.ref("work").send_many([(chance.uniform(0, longest),) for _ in range(count)])


async def records(system: ActorSystem, handles: list[Handle[int]]) -> dict[str, str]:
    """Which worker's outcome stands, by task id; every task has to have succeeded."""
    by: dict[str, str] = {}
    for handle in handles:
        await handle.result(timeout=120)
        record = await system.client.record(handle.id)
        assert record is not None
        by[handle.id] = record.worker
    return by


def cut_off(killed: list[WorkerProcess], by: dict[str, str]) -> Counter[str]:
    """What was in flight in processes that were killed: started there, and the outcome is not theirs."""
    return Counter(
        task for process in killed for what, task in process.log() if what == "start" and by[task] != process.name
    )


def hits(lab: Lab, victim: WorkerProcess, due: int) -> bool:
    """Whether ``due`` tasks were started in all, and the victim is in the middle of some."""
    return len(lab.starts()) >= due and bool(victim.in_flight())


@pytest.mark.parametrize(
    ("count", "kills"), [(1_500, 3), pytest.param(10_000, 10, marks=pytest.mark.slow)], ids=["mini", "full"]
)
async def test_workers_killed_with_work_in_flight(lab: Lab, system: ActorSystem, count: int, kills: int) -> None:
    """Every confirmed task ends once; what ran twice had been in flight in a process that was killed."""
    options = ("--ack-wait", "2s")
    running = [await lab.worker(*options).ready() for _ in range(2)]
    killed: list[WorkerProcess] = []
    async with system:
        handles = await send(system, count, 0.02, seed=count)
        for kill in range(kills):
            victim = running.pop(0)
            due = len(lab.starts()) + count // (kills + 2)
            await wait_until(
                partial(hits, lab, victim, due), timeout=60, description=f"work is in flight for kill {kill}"
            )
            victim.kill()
            killed.append(victim)
            assert victim.in_flight(), "the kill has to hit"
            running.append(lab.worker(*options))
        by = await records(system, handles)
        starts = lab.starts()
        assert set(starts) == {handle.id for handle in handles}
        again = starts - Counter(dict.fromkeys(by, 1))
        in_flight = cut_off(killed, by)
        assert not again - in_flight
        print(f"{count} tasks, {kills} kills, {in_flight.total()} in flight, {again.total()} run again, 0 lost")


@pytest.mark.parametrize("count", [600, pytest.param(2_000, marks=pytest.mark.slow)], ids=["mini", "full"])
async def test_the_broker_is_killed_and_comes_back(
    lab: Lab, system: ActorSystem, broker: EmbeddedBroker, count: int
) -> None:
    """Confirmed tasks survive a broker that is killed; senders, workers and waiters go on by themselves."""
    for _ in range(2):
        await lab.worker("--ack-wait", "3s").ready()
    async with system:
        handles = await send(system, count, 0.02, seed=count)
        await wait_until(lambda: len(lab.starts()) >= count // 4, description="work is under way")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, broker.restart)
            handles += await send(system, 20, 0.02, seed=1)
        by = await records(system, handles)
        starts = lab.starts()
        assert set(starts) == set(by) == {handle.id for handle in handles}
        again = starts.total() - len(starts)
        # In flight at the kill: two workers with 16 slots; their finished messages' acks may be lost with the broker.
        assert again <= 2 * 2 * 16
        print(f"{len(handles)} tasks, 1 broker kill, {again} run again, 0 lost")
