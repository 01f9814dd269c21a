"""Tasks that take longer than their lease (D-3)."""

from __future__ import annotations

import pytest

from actorq import ActorSystem
from actorq.testing import wait_until
from tests.integration.processes import Lab

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

LEASE = 1.0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_long_tasks_run_once(lab: Lab, system: ActorSystem, backend: str) -> None:
    """Ten leases long, in the loop and in a thread: renewed all the time, although two workers wait for work."""
    workers = [await lab.worker("--ack-wait", f"{LEASE}s", backend=backend).ready() for _ in range(2)]
    async with system:
        handles = [
            await system.send("wait", 10 * LEASE),
            await system.send("wait_in_thread", 10 * LEASE),
        ]
        for handle in handles:
            assert await handle.result(timeout=60) in {worker.process.pid for worker in workers}
    assert dict(lab.starts()) == {handle.id: 1 for handle in handles}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_blocked_loop_keeps_its_leases_and_is_reported(lab: Lab, system: ActorSystem, backend: str) -> None:
    """Three leases of time.sleep in an async task: no second run; the log names the frame."""
    workers = [await lab.worker("--ack-wait", f"{LEASE}s", backend=backend).ready() for _ in range(2)]
    async with system:
        handles = [await system.send("block_the_loop", 3 * LEASE), await system.send("wait", 2 * LEASE)]
        for handle in handles:
            await handle.result(timeout=60)
    assert dict(lab.starts()) == {handle.id: 1 for handle in handles}
    said = "".join(worker.said for worker in workers)
    assert "blocked for" in said
    assert "block_the_loop" in said


async def test_a_shorter_lease_of_a_newer_worker_costs_no_second_run(lab: Lab, system: ActorSystem) -> None:
    """B-5: a rolling deploy that shortens the lease changes the shared consumer under tasks that run."""
    older = await lab.worker("--ack-wait", "30s").ready()
    async with system:
        handle = await system.send("wait", 6.0)
        await wait_until(lambda: bool(older.in_flight()), description="it runs")
        await lab.worker("--ack-wait", "2s").ready()
        assert await handle.result(timeout=30) == older.process.pid
    assert dict(lab.starts()) == {handle.id: 1}
