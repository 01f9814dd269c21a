"""Signals to a worker process (E-6)."""

from __future__ import annotations

import signal

import pytest

from actorq import ActorSystem
from actorq.testing import wait_until
from tests.integration.processes import Lab

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_the_first_signal_drains(lab: Lab, system: ActorSystem, backend: str) -> None:
    """50 tasks shorter than the grace run while 100 more wait: all end, nothing runs twice, exit 0."""
    worker = await lab.worker("--shutdown-timeout", "20s", backend=backend).ready()
    async with system:
        handles = await system.ref("wait").send_many([(1.0,)] * 150)
        await wait_until(lambda: len(worker.in_flight()) == 50, description="all slots run")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0, worker.said
        assert not worker.in_flight()
        await lab.worker(backend=backend).ready()
        for handle in handles:
            await handle.result(timeout=60)
    assert dict(lab.starts()) == {handle.id: 1 for handle in handles}


async def test_the_second_signal_cancels(lab: Lab, system: ActorSystem) -> None:
    """What runs is cancelled and handed back at once: another worker has it long before the lease would end."""
    worker = await lab.worker("--shutdown-timeout", "10m").ready()
    async with system:
        handle = await system.send("wait", 2.0)
        long = await system.send("wait", 600.0)
        await wait_until(lambda: len(worker.in_flight()) == 2, description="they run")
        worker.signal(signal.SIGTERM)
        await wait_until(lambda: "stopping" in worker.said, description="it drains")
        worker.signal(signal.SIGTERM)
        assert await worker.ended(20) == 0, worker.said
        other = await lab.worker().ready()
        await wait_until(lambda: len(other.in_flight()) == 2, timeout=10, description="handed over")
        await handle.result(timeout=20)
        assert await long.status() == "running"


async def test_the_third_signal_ends_at_once(lab: Lab, system: ActorSystem) -> None:
    """A thread that does not stop keeps nobody waiting."""
    worker = await lab.worker("--shutdown-timeout", "10m").ready()
    async with system:
        await system.send("wait_in_thread", 30.0)
        await wait_until(lambda: bool(worker.in_flight()), description="it runs")
        worker.signal(signal.SIGTERM)
        await wait_until(lambda: "stopping" in worker.said, description="it drains")
        worker.signal(signal.SIGINT)
        worker.signal(signal.SIGTERM)
        assert await worker.ended(10) in (70, 128 + signal.SIGTERM, 128 + signal.SIGINT)


async def test_a_stubborn_thread_is_left_to_its_lease(lab: Lab, system: ActorSystem) -> None:
    """After the grace the process ends with 70; the message runs elsewhere once its lease is over."""
    worker = await lab.worker("--shutdown-timeout", "0.5s", "--ack-wait", "2s").ready()
    async with system:
        handle = await system.send("wait_in_thread", 5.0)
        await wait_until(lambda: bool(worker.in_flight()), description="it runs")
        worker.signal(signal.SIGTERM)
        assert await worker.ended(20) == 70, worker.said
        await lab.worker("--ack-wait", "2s").ready()
        await handle.result(timeout=30)
    assert lab.starts()[handle.id] == 2
