"""Threads that do not stop (E-3, E-6)."""

from __future__ import annotations

import signal
import time

import pytest

from actorq import ActorSystem, TimedOut
from actorq.testing import wait_until
from tests.integration.processes import Lab

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_thread_that_never_ends_does_not_keep_the_process(lab: Lab, system: ActorSystem, backend: str) -> None:
    """SIGTERM with a sync handler in the middle of ten minutes: exit 70 within the grace and 5 s."""
    worker = await lab.worker("--shutdown-timeout", "1s", backend=backend).ready()
    async with system:
        await system.send("wait_in_thread", 600.0)
        await wait_until(lambda: bool(worker.in_flight()), description="it runs")
        began = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert await worker.ended(20) == 70, worker.said
        assert time.monotonic() - began < 1 + 5


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_too_many_abandoned_threads_end_the_worker(lab: Lab, system: ActorSystem, backend: str) -> None:
    """At `max_abandoned` the worker drains and exits 70: other work finishes, and goes on elsewhere."""
    worker = await lab.worker("--shutdown-timeout", "10s", backend=backend).ready()
    async with system:
        other = await system.send("wait", 2.0)
        stuck = [await system.ref("stuck").options(timeout="200ms").send(600.0) for _ in range(2)]
        for handle in stuck:
            with pytest.raises(TimedOut) as caught:
                await handle.result(timeout=30)
            assert caught.value.abandoned
        assert await worker.ended(20) == 70, worker.said
        assert "threads do not stop" in worker.said
        assert await other.result(timeout=30) == worker.process.pid
