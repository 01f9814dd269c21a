"""Attempts in processes of their own (D-5, E-3)."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import psutil
import pytest

from actorq import ActorSystem, DeadLettered, Handle, Retry, TimedOut, UsageError, Worker, WorkerOptions
from actorq.errors import ConfigError
from actorq.isolation import importable, isolation
from actorq.testing import wait_until
from tests.integration.processes import Lab, WorkerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.broker]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def starts(lab: Lab) -> Counter[str]:
    """How often each task was started, in whatever process."""
    lines = [line.split(" ") for path in lab.folder.glob("*.log") for line in path.read_text().splitlines()]
    return Counter(task for what, task in lines if what == "start")


def forked(worker: WorkerProcess) -> list[psutil.Process]:
    """The living processes of single attempts."""
    with suppress(psutil.NoSuchProcess):
        servers = psutil.Process(worker.process.pid).children()
        return [child for server in servers for child in server.children() if child.status() != "zombie"]
    return []


def lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != "zombie"
    return False


@asynccontextmanager
async def always_running(lab: Lab, count: int) -> AsyncGenerator[list[WorkerProcess]]:
    """So many workers: another one is started wherever one has ended."""
    options = ("--ack-wait", "2s", "--concurrency", "200")
    workers = [await lab.worker(*options).ready() for _ in range(count)]

    async def replace() -> None:
        while True:
            await wait_until(lambda: any(w.process.poll() is not None for w in workers), timeout=600)
            workers[:] = [w for w in workers if w.process.poll() is None]
            workers.append(lab.worker(*options))  # which may be over before anybody sees it ready

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replace)
        yield workers
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("count", [1, 2], ids=["one-worker", "two-workers"])
@pytest.mark.parametrize(
    ("others", "seconds"), [(20, 2.0), pytest.param(200, 10.0, marks=pytest.mark.slow)], ids=["mini", "full"]
)
async def test_a_poison_is_found_among_innocents(
    lab: Lab, system: ActorSystem, count: int, others: int, seconds: float
) -> None:
    """What ends its process is run crash_budget times; none that shared the process with it is condemned."""
    async with always_running(lab, count) as workers, system:
        began = time.monotonic()
        innocents: list[Handle[int]] = await system.ref("wait").send_many([(seconds,)] * others)
        await wait_until(lambda: len(starts(lab)) == others, description="they run")
        poison = await system.send("poison")
        with pytest.raises(DeadLettered, match=r"ended that process \(exit code 1\)") as caught:
            await poison.result(timeout=90)
        assert caught.value.reason == "crash_loop"
        pids = [await innocent.result(timeout=60) for innocent in innocents]
        print(
            f"{count} workers: {starts(lab)[poison.id]} runs of the poison, {len(pids)} of {others} others of"
            f" {seconds:g} s succeeded after {time.monotonic() - began:.0f} s, 0 dead-lettered"
        )
        assert starts(lab)[poison.id] == 5
        assert len(lab.started) == count + 4, "four workers died, not the one that ran it last"
        if count == 1:
            assert set(pids) - {worker.process.pid for worker in lab.started}, "they had their last run, too"
        await wait_until(lambda: not any(map(forked, workers)), description="no process is left")


async def test_a_crash_of_its_own_process_counts_as_a_lost_lease(lab: Lab, system: ActorSystem) -> None:
    """Not as an attempt, and it costs the worker nothing."""
    worker = await lab.worker().ready()
    async with system:
        once, always = await system.send("dies_once"), await system.send("segfault")
        assert await once.result(timeout=30) == 1
        with pytest.raises(DeadLettered, match="killed by signal SIGSEGV") as caught:
            await always.result(timeout=30)
        assert (caught.value.reason, caught.value.attempts) == ("crash_loop", 1)
        assert starts(lab)[always.id] == 5
    assert worker.process.poll() is None
    assert worker.said.count("its process ended") == 5


@BACKENDS
async def test_what_does_not_stop_is_killed_at_its_time_limit(lab: Lab, system: ActorSystem, backend: str) -> None:
    """A thread that spins and a loop that is blocked: nothing is abandoned, and the slot is free again."""
    worker = await lab.worker(backend=backend).ready()
    async with system:
        began = time.monotonic()
        for to, options in (("spin", {"for_ever": True}), ("block", {})):
            with pytest.raises(TimedOut) as caught:
                await system.ref(to).ask(**options)
            assert not caught.value.abandoned
        assert time.monotonic() - began < 10
        assert not forked(worker)
        assert await system.ask("spin", for_ever=False) != worker.process.pid


@BACKENDS
async def test_a_process_ends_with_its_worker(lab: Lab, system: ActorSystem, backend: str) -> None:
    """However the worker ends, and whatever the handler is doing."""
    worker = await lab.worker(backend=backend).ready()
    async with system:
        await system.send("wait_apart", 600.0)
        await system.ref("block").options(timeout="10m").send()
        await wait_until(lambda: len(forked(worker)) == 2, description="they run")
        left = [*forked(worker), *psutil.Process(worker.process.pid).children()]
        worker.kill()
        await wait_until(lambda: not any(map(lives, left)), timeout=5, description="they are gone")


@BACKENDS
async def test_it_is_run_as_in_the_worker(lab: Lab, system: ActorSystem, backend: str) -> None:
    """Values, state, a class actor's instance, tasks sent and awaited, with its slot lent meanwhile."""
    worker = await lab.worker(backend=backend).ready()
    async with system:
        pid, state = await system.ask("wait_apart", 0.0)
        assert pid == state != worker.process.pid
        opened, ran_in = await system.ask("apart.pids")
        assert opened == ran_in != worker.process.pid
        ids = await system.ref("countdown").options(task_id="first").ask(3)
        assert ids[0] == "first"
        assert len(set(ids)) == 4
        assert all([await system.handle(task_id).status() == "succeeded" for task_id in ids])
    assert "Traceback" not in worker.said
    assert "RuntimeWarning" not in worker.said


@BACKENDS
async def test_it_fails_as_in_the_worker(lab: Lab, system: ActorSystem, backend: str) -> None:
    """The error with its class, arguments and traceback; log records in the worker's own log."""
    worker = await lab.worker("--log-format", "json", backend=backend).ready()
    async with system:
        with pytest.raises(LookupError) as caught:
            await system.ask("fail", with_text="naïve")
        assert caught.value.args == ("naïve", 3)
        (line,) = [line for line in worker.said.splitlines() if "about to fail" in line]
        assert '"logger": "tests.apart"' in line
        assert '"actor": "fail"' in line
        with pytest.raises(DeadLettered, match="argument"):
            await system.ask("fail", 1, 2, 3)


@BACKENDS
async def test_stopping_hands_back_and_leaves_no_process(lab: Lab, system: ActorSystem, backend: str) -> None:
    """The first signal lets it finish, the second ends it; that is neither an attempt nor a crash."""
    worker = await lab.worker(backend=backend).ready()
    async with system:
        short, long = await system.send("wait_apart", 2.0), await system.send("wait_apart", 600.0)
        await wait_until(lambda: len(starts(lab)) == 2, description="they run")
        left = [*forked(worker), *psutil.Process(worker.process.pid).children()]
        for process in left:
            process.send_signal(signal.SIGTERM)  # as service managers do with all processes of a unit
        worker.signal(signal.SIGTERM)
        assert (await short.result(timeout=20))[0] in {process.pid for process in left}
        worker.signal(signal.SIGTERM)
        assert await worker.ended(20) == 0, worker.said
        assert not any(map(lives, left))
        await lab.worker(backend=backend).ready()
        await wait_until(lambda: starts(lab)[long.id] == 2, timeout=10, description="handed over")
    assert "its process ended" not in worker.said


async def test_a_message_whose_process_cannot_begin_waits(lab: Lab, system: ActorSystem) -> None:
    """A lifespan that fails, or the loss of the process that forks, is not held against it."""
    worker = await lab.worker().ready()
    (lab.folder / "no-lifespan").touch()
    async with system:
        handle = await system.ref("wait_apart").options(retry=Retry(max_attempts=1)).send(1.0)
        await wait_until(lambda: "no process for it" in worker.said, description="it is tried")
        assert "the database is away" in worker.said
        (lab.folder / "no-lifespan").unlink()
        await wait_until(lambda: starts(lab)[handle.id] == 1, timeout=20, description="it runs")
        (server,) = psutil.Process(worker.process.pid).children()
        server.kill()
        assert await handle.result(timeout=20)
        assert starts(lab)[handle.id] == 2


async def test_without_a_module_to_import_the_last_run_is_made_in_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """With one warning; an actor that asks for its own process is refused."""
    system = ActorSystem("nowhere", transport="memory:")

    @system.actor
    async def double(x: int) -> int:
        return 2 * x

    assert importable(system) is None
    with pytest.raises(ConfigError, match="memory"):
        await isolation(system).start()
    async with system, Worker(system, WorkerOptions(crash_budget=1)):
        assert [await double.ask(x) for x in range(3)] == [0, 2, 4]
    assert caplog.text.count("has its last run in this process") == 1


def test_a_system_is_found_where_its_actors_are() -> None:
    assert importable(found_here) == f"{__name__}:found_here"
    assert importable(ActorSystem("no-actors")) is None


found_here = ActorSystem("found-here")


@found_here.actor
def here() -> None:
    pass


async def test_what_is_limited_over_all_workers_cannot_wait_for_itself_there_either(
    lab: Lab, system: ActorSystem
) -> None:
    """E-8: a UsageError at once, as in the worker, instead of a wait that only the time limit ends."""
    await lab.worker().ready()
    async with system:
        assert await system.ask("alone_apart", 0) == 0
        with pytest.raises(UsageError, match="waits for a task of its own"):
            await system.ask("alone_apart", 1)
