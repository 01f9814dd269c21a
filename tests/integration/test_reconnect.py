"""A broker that goes and comes back, also empty (D-8)."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from actorq import ActorSystem, Worker
from actorq.embedded import EmbeddedBroker
from actorq.testing import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_broker_that_comes_back_empty_is_set_up_again(tmp_path: Path, anyio_backend: str) -> None:
    """Another broker under the same address: worker and client make their streams and go on by themselves."""
    with EmbeddedBroker(tmp_path / "one") as first:
        system = ActorSystem("again", transport=first.url)

        @system.actor(queue="home")
        async def echo(x: int) -> int:
            return x

        async with system, Worker(system):
            assert await echo.options(queue="other").ask(1) == 1
            first.kill()
            with EmbeddedBroker(tmp_path / "two", port=first.port):
                assert await echo.ask(2) == 2
                assert await echo.options(queue="other").ask(3) == 3
                other = ActorSystem("again", transport=first.url)
                async with other:
                    assert await other.ask("echo", 4) == 4


async def test_a_worker_that_waits_for_its_broker_stops_when_told(tmp_path: Path) -> None:
    """With the broker gone a drain ends all the same, within its bounds."""
    with EmbeddedBroker(tmp_path / "one") as broker:
        system = ActorSystem("gone", transport=broker.url)
        started = anyio.Event()

        @system.actor
        async def work() -> None:
            started.set()

        async with system:
            with anyio.fail_after(30):
                async with Worker(system) as worker:
                    await work.send()
                    await started.wait()
                    await wait_until(worker.idle, description="it is settled")
                    await anyio.to_thread.run_sync(broker.kill)
