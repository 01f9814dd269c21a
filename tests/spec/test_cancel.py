"""Cancelling one task: semantics I-11, J-4, D-1 for whoever waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import anyio
import pytest

from actorq import (
    ActorSystem,
    Cancelled,
    Context,
    Handle,
    ResultExpired,
    UnknownTask,
    Worker,
    WorkerOptions,
    check_cancelled,
)
from actorq.testing import wait_until
from tests.spec.conftest import MakeSystem

pytestmark = pytest.mark.anyio


async def gone(system: ActorSystem, handle: Handle[Any]) -> bool:
    """Whether no copy of the task is stored any more."""
    return await system.client.transport.get(system.namespace.copies("*", handle.id)) is None


async def test_a_task_that_waits_is_not_run(system: ActorSystem) -> None:
    """I-11: it leaves its mailbox, its waiters get Cancelled, and a second cancel says False."""
    ran: list[int] = []

    @system.actor
    async def note(x: int) -> None:
        ran.append(x)

    async with system:
        first, second = await note.send(1), await note.send(2)
        assert await first.cancel() is True
        assert await first.cancel() is False
        assert await first.status() == "cancelled"
        assert await gone(system, first)
        with pytest.raises(Cancelled, match=f"{first.id} of note") as caught:
            await first
        assert (caught.value.task_id, caught.value.actor) == (first.id, "note")
        async with Worker(system):
            await second
    assert ran == [2]


async def test_a_waiter_anywhere_hears_of_it(make_system: MakeSystem) -> None:
    """I-11: whoever awaits the task, in whatever process, gets Cancelled at once; anybody with the id may cancel."""
    here, there, third = make_system(), make_system(), make_system()
    caught: list[str] = []

    async with here, there, third:
        handle = await here.send("nobody-serves-this")

        async def wait(system: ActorSystem) -> None:
            with pytest.raises(Cancelled):
                await system.handle(handle.id)
            caught.append(handle.id)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, here)
                tasks.start_soon(wait, there)
                await anyio.wait_all_tasks_blocked()
                assert await third.handle(handle.id).cancel()
    assert caught == [handle.id] * 2


async def test_a_running_task_sees_it_within_200_ms(system: ActorSystem) -> None:
    """I-11: a running async handler is cancelled; its clean-up runs; the worker goes on."""
    seen: list[float] = []
    running: list[str] = []

    @system.actor
    async def sleep(ctx: Context) -> None:
        running.append(ctx.id)
        try:
            await anyio.sleep_forever()
        finally:
            seen.append(time.monotonic())

    async with system, Worker(system) as worker:
        took: list[float] = []
        for n in range(3):
            handle = await sleep.send()
            await wait_until(lambda: handle.id in running, description="it runs")  # noqa: B023
            began = time.monotonic()
            assert await handle.cancel()
            with pytest.raises(Cancelled):
                await handle
            await wait_until(lambda: len(seen) > n, description="the handler is cancelled")  # noqa: B023
            took.append(seen[-1] - began)
        await wait_until(worker.idle, description="all is settled")
    assert min(took) < 0.2, took


async def test_a_thread_sees_it_when_it_looks(system: ActorSystem) -> None:
    """I-11, E-3: check_cancelled() raises in a sync handler, and ctx.cancelled is true."""
    running, stopped = threading.Semaphore(0), threading.Semaphore(0)

    @system.actor
    def check() -> None:
        running.release()
        try:
            while True:
                check_cancelled()
                time.sleep(0.005)
        finally:
            stopped.release()

    @system.actor
    def look(ctx: Context) -> None:
        running.release()
        while not ctx.cancelled:
            time.sleep(0.005)
        stopped.release()

    async with system, Worker(system) as worker:
        for actor in (check, look):
            handle = await actor.send()
            await anyio.to_thread.run_sync(running.acquire)
            assert await handle.cancel()
            await anyio.to_thread.run_sync(stopped.acquire)
            with pytest.raises(Cancelled):
                await handle
        await wait_until(worker.idle, description="all is settled")
        assert worker.abandoned == 0


async def test_what_a_handler_returns_all_the_same_does_not_count(system: ActorSystem) -> None:
    """D-1: the record was there first: who does not let itself be cancelled works for nothing."""
    running, go = anyio.Event(), anyio.Event()

    @system.actor
    async def stubborn() -> str:
        with anyio.CancelScope(shield=True):
            running.set()
            await go.wait()
        return "done"

    async with system, Worker(system) as worker:
        handle = await stubborn.send()
        await running.wait()
        assert await handle.cancel()
        go.set()
        await wait_until(worker.idle, description="it is settled")
        with pytest.raises(Cancelled):
            await system.handle(handle.id)
        assert await gone(system, handle)


async def test_a_run_keeps_its_place_until_it_has_ended(system: ActorSystem) -> None:
    """I-11, H-2: a cancelled run that goes on still counts for `global_concurrency`."""
    running, go, together = anyio.Event(), anyio.Event(), list[int]()

    @system.actor(global_concurrency=1)
    async def stubborn(x: int) -> int:
        together.append(x)
        running.set()
        with anyio.CancelScope(shield=True):
            await go.wait()
        return x

    async with system, Worker(system):
        first = await stubborn.send(1)
        await running.wait()
        assert await first.cancel()
        second = await stubborn.send(2)
        with anyio.move_on_after(0.3):
            await second
        assert together == [1]
        go.set()
        assert await second == 2


async def test_one_of_cancel_and_completion_wins(make_system: MakeSystem) -> None:
    """D-1: a task that ends as it is cancelled has one outcome, and cancel() tells which."""
    system, there = make_system(), make_system()

    @system.actor(concurrency=8)
    async def quick(x: int) -> int:
        return x

    told: dict[str, bool] = {}
    async with system, there, Worker(system):
        handles = await quick.send_many([(n,) for n in range(60)])

        async def cancel(handle: Handle[int]) -> None:
            told[handle.id] = await there.handle(handle.id).cancel()

        async with anyio.create_task_group() as tasks:
            for handle in reversed(handles):
                tasks.start_soon(cancel, handle)
        for n, handle in enumerate(handles):
            if told[handle.id]:
                with pytest.raises(Cancelled):
                    await handle
            else:
                assert await handle == n
            assert await there.handle(handle.id).status() == ("cancelled" if told[handle.id] else "succeeded")


async def test_a_task_that_has_ended_stays_as_it_is(system: ActorSystem) -> None:
    """I-11: cancel() of a succeeded or failed task is False and changes nothing."""

    @system.actor(retry={"max_attempts": 1})
    async def divide(x: int) -> float:
        return 1 / x

    async with system, Worker(system):
        good, bad = await divide.send(1), await divide.send(0)
        assert await good == 1.0
        with pytest.raises(ZeroDivisionError):
            await bad
        assert [await good.cancel(), await bad.cancel()] == [False, False]
        assert [await good.status(), await bad.status()] == ["succeeded", "failed"]


async def test_an_id_without_a_trace_is_an_error(system: ActorSystem) -> None:
    """E-7: as with a look-up."""

    @system.actor(result_ttl="1s")
    async def echo(x: int) -> int:
        return x

    async with system, Worker(system):
        with pytest.raises(UnknownTask, match="nobody-sent-this"):
            await system.handle("nobody-sent-this").cancel()
        handle = await echo.send(1)
        await handle

        async def over() -> bool:
            return await system.client.record(handle.id) is None

        await wait_until(over, description="the record's time to live is over")
        with pytest.raises(ResultExpired):
            await handle.cancel()


async def test_a_delayed_task_never_runs(system: ActorSystem) -> None:
    """J-4: what is scheduled is cancelled as one operation; nothing of it is left."""

    @system.actor
    async def never() -> None:
        raise AssertionError("it must not run")

    async with system:
        handle = await never.options(delay="1h").send()
        assert await handle.status() == "scheduled"
        assert await handle.cancel()
        assert await gone(system, handle)
        with pytest.raises(Cancelled):
            await handle


async def test_a_task_that_waits_for_its_next_attempt(system: ActorSystem) -> None:
    """I-11: also between two attempts, held by the broker or, for a short delay, by the worker."""
    attempts: list[str] = []

    @system.actor
    async def flaky(ctx: Context, delay: float) -> None:
        attempts.append(ctx.id)
        raise ctx.retry(delay=delay)

    async with system, Worker(system) as worker:
        for delay in (3_600.0, 0.9):
            handle = await flaky.send(delay)
            await wait_until(lambda: handle.id in attempts, description="the first attempt")  # noqa: B023
            assert await handle.cancel()
            with pytest.raises(Cancelled):
                await handle
            await wait_until(worker.idle, description="the worker has let go of it")

            async def left() -> bool:
                return await gone(system, handle)  # noqa: B023

            await wait_until(left, description="nothing is left")
    assert len(attempts) == 2


async def test_a_task_without_a_result(system: ActorSystem) -> None:
    """I-11: also what keeps no outcome can be cancelled; then there is a record."""
    ran: list[int] = []

    @system.actor
    async def note(x: int) -> None:
        ran.append(x)

    async with system:
        ignored, last = await note.options(ignore_result=True).send(1), await note.send(2)
        assert await ignored.cancel()
        assert await ignored.status() == "cancelled"
        async with Worker(system):
            await last
    assert ran == [2]


async def test_an_id_of_the_users_may_come_back(system: ActorSystem) -> None:
    """I-11: another task under the id of a cancelled one runs, once the record of that one is gone."""

    @system.actor(result_ttl="1s")
    async def echo(x: int) -> int:
        return x

    async with system, Worker(system):
        address = echo.options(task_id="nightly")
        assert await (await address.options(delay="1h").send(1)).cancel()

        async def over() -> bool:
            return await system.client.record("nightly") is None

        await wait_until(over, description="the record's time to live is over")
        assert await address.ask(2) == 2


async def test_from_synchronous_code(system: ActorSystem) -> None:
    """The blocking client cancels as well."""
    async with system:
        handle = await system.send("nobody-serves-this")
        client = system.blocking()
        try:
            assert await anyio.to_thread.run_sync(client.cancel, handle)
            assert not await anyio.to_thread.run_sync(client.cancel, handle)
        finally:
            await anyio.to_thread.run_sync(client.close)
        assert await handle.status() == "cancelled"


async def test_a_task_that_waits_for_a_slot(system: ActorSystem) -> None:
    """I-11: what a worker holds and has not started is not run; the slot goes to the next one."""
    go, ran = anyio.Event(), list[int]()

    @system.actor
    async def wait(x: int) -> int:
        ran.append(x)
        if x:
            await go.wait()
        return x

    async with system, Worker(system, WorkerOptions(concurrency=1)) as worker:
        # Each mailbox of an actor may hold one message for the free slot.
        elsewhere = wait.options(queue="other")
        assert await elsewhere.ask(0) == 0
        handles = [await wait.send(1), await elsewhere.send(2)]
        await wait_until(lambda: len(worker.runners["wait"].jobs) == 2, description="both are held")
        waits = 1 if 1 in ran else 0
        assert await handles[waits].cancel()
        with pytest.raises(Cancelled):
            await handles[waits]
        last = await wait.send(3)
        go.set()
        assert await last == 3
        assert await handles[1 - waits] == 2 - waits
        await wait_until(worker.idle, description="all is settled")
    assert sorted(ran) == [0, 2 - waits, 3]


async def test_a_parent_may_cancel_its_child(system: ActorSystem) -> None:
    """I-11, E-8: a handler cancels what it has sent; the child's end ends the parent's wait."""

    @system.actor
    async def child() -> None:
        await anyio.sleep_forever()

    @system.actor
    async def parent() -> str:
        handle = await child.send()
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with contextlib.suppress(Cancelled):
                    await handle

            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await handle.cancel()
        return await handle.status()

    async with system, Worker(system):
        assert await parent.ask() == "cancelled"
