"""Signals to a worker process (E-6)."""

from __future__ import annotations

import signal
import time

import pytest

from actorq import ActorSystem, RemoteError
from actorq.testing import wait_until
from tests.integration.processes import Lab, WorkerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.broker]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
CLOSING = "tests.integration.closing:system"


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


def closing(lab: Lab, backend: str, *what: str) -> WorkerProcess:
    for each in what:
        (lab.folder / each).touch()
    return lab.worker("--stop-timeout", "200ms", "--shutdown-timeout", "200ms", backend=backend, target=CLOSING)


@BACKENDS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
async def test_signals_while_the_lifespan_ends(lab: Lab, backend: str, number: signal.Signals) -> None:
    """E-6: until the very end no signal but the third ends a worker in the middle of its cleanup."""
    worker = await closing(lab, backend, "hold-lifespan").ready()
    worker.signal(signal.SIGTERM)
    await wait_until(lambda: ("closing", "lifespan") in worker.log(), description="all but the lifespan has ended")
    worker.signal(number)
    if number == signal.SIGUSR1:
        await wait_until(lambda: "supervision tree" in worker.said, description="it tells where it stands")
    (lab.folder / "hold-lifespan").unlink()
    assert await worker.ended(10) == 0, worker.said
    assert worker.log()[-1] == ("closed", "lifespan")


@BACKENDS
async def test_a_teardown_in_a_thread_that_hangs_does_not_keep_the_process(lab: Lab, backend: str) -> None:
    """G-9: cleanup is bounded, also that of a thread, which cannot be stopped: exit 70."""
    worker = await closing(lab, backend, "hang-teardown").ready()
    worker.signal(signal.SIGTERM)
    assert await worker.ended(10) == 70, worker.said
    assert "teardown() of actor thing took more than 0.2 s" in worker.said
    assert worker.log()[-1] == ("closed", "lifespan")


@BACKENDS
async def test_a_setup_in_a_thread_that_hangs_does_not_keep_the_process(lab: Lab, backend: str) -> None:
    """One signal is enough while it starts."""
    worker = closing(lab, backend, "hang-setup")
    await wait_until(lambda: ("setup", "thing") in worker.log(), timeout=30, description="it starts")
    worker.signal(signal.SIGTERM)
    assert await worker.ended(5) in (70, 130), worker.said


@pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=pytest.mark.slow)])
async def test_a_task_that_ignores_its_cancellation_does_not_keep_the_process(
    lab: Lab, system: ActorSystem, backend: str
) -> None:
    """E-6, as with a thread that does not stop: its message is left to its lease, exit 70."""
    worker = await closing(lab, backend).ready()
    async with system:
        await system.send("thing.ignore_cancellation")
        await wait_until(lambda: bool(worker.in_flight()), description="it runs")
        worker.signal(signal.SIGTERM)
        assert await worker.ended(20) == 70, worker.said
        assert "do not end" in worker.said


@BACKENDS
async def test_an_interrupt_that_a_handler_raises_is_its_own(lab: Lab, system: ActorSystem, backend: str) -> None:
    """E-5: signals are heard elsewhere; the worker goes on, also with threads that wait for work."""
    worker = await lab.worker(backend=backend).ready()
    async with system:
        await system.ask("wait_in_thread", 0.0)
        with pytest.raises(RemoteError, match="KeyboardInterrupt: of the handler's own"):
            await system.ask("interrupt")
        assert await system.ask("wait", 0.0) == worker.process.pid
    worker.signal(signal.SIGTERM)
    assert await worker.ended(5) == 0


async def test_a_retry_that_is_waited_out_is_handed_on_at_once(lab: Lab, system: ActorSystem) -> None:
    """E-6, D-6: a worker that stops does not wait for it; another one runs it when it is due."""
    worker = await lab.worker().ready()
    async with system:
        handle = await system.send("fail_once")
        await wait_until(lambda: "next in 0.9 s" in worker.said, description="it waits")
        began = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert await worker.ended(5) == 0
        assert time.monotonic() - began < 0.7
        await lab.worker().ready()
        assert await handle.result(timeout=30) == 2
