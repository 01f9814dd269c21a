"""Running tasks in a worker: semantics E-1 to E-5, E-8, E-9, D-2 for whoever calls the handler."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from actorq import (
    ActorSystem,
    Context,
    DeadlineExceeded,
    RemoteError,
    Retry,
    TimedOut,
    UsageError,
    Worker,
    WorkerOptions,
    check_cancelled,
)
from actorq.testing import wait_until

pytestmark = pytest.mark.anyio


async def test_plain_functions_run_in_threads(system: ActorSystem) -> None:
    """E-3: a `def` actor runs in worker threads, at most `threads` at once, and never blocks the loop."""
    together = threading.Barrier(3)

    @system.actor(threads=3)
    def meet() -> int:
        together.wait(timeout=10)
        return threading.get_ident()

    async with system, Worker(system):
        handles = await meet.send_many([()] * 3)
        threads = {await handle for handle in handles}
        assert len(threads) == 3
        assert threading.get_ident() not in threads


async def test_slots_bound_how_many_run(system: ActorSystem) -> None:
    """E-2: no more than `concurrency` run at once, and all of them do."""
    running, most = 0, 0
    full = anyio.Event()

    @system.actor(concurrency=3)
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await full.wait()
        await anyio.lowlevel.checkpoint()
        running -= 1

    async with system, Worker(system):
        for handle in await work.send_many([()] * 20):
            await handle
    assert most == 3


async def test_the_context(system: ActorSystem) -> None:
    """E-9: a parameter annotated Context is injected; senders do not see it."""

    @system.actor
    async def look(ctx: Context, x: int) -> dict[str, Any]:
        return {"id": ctx.id, "root": ctx.root, "actor": ctx.actor, "attempt": ctx.attempt, "meta": dict(ctx.meta)}

    async with system, Worker(system):
        handle = await look.options(meta={"user": 7}).send(1)
        assert await handle == {
            "id": handle.id, "root": handle.id, "actor": "look", "attempt": 1, "meta": {"user": 7},
        }  # fmt: skip


async def test_lifespan_and_middleware(make_system: Callable[..., ActorSystem]) -> None:
    """E-9: the lifespan is entered in each worker and gives ctx.state; middleware wraps each attempt."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[str]:
        events.append("up")
        yield "the pool"
        events.append("down")

    system = make_system(lifespan=lifespan)

    @system.middleware
    async def outer(ctx: Context, call: Callable[[], Awaitable[Any]]) -> Any:
        events.append(f"outer {ctx.actor}")
        return f"<{await call()}>"

    @system.middleware
    async def inner(ctx: Context, call: Callable[[], Awaitable[Any]]) -> Any:
        events.append("inner")
        return await call()

    @system.actor
    async def use(ctx: Context) -> str:
        return str(ctx.state)

    @system.actor
    def use_in_thread(ctx: Context) -> str:
        return str(ctx.state)

    async with system, Worker(system):
        assert await use.ask() == "<the pool>"
        assert await use_in_thread.ask() == "<the pool>"
    assert events == ["up", "outer use", "inner", "outer use_in_thread", "inner", "down"]


async def test_log_records_carry_the_task(system: ActorSystem, caplog: pytest.LogCaptureFixture) -> None:
    """E-9: ctx.log adds task id, actor and attempt to its records."""
    caplog.set_level(logging.INFO, "actorq.task")

    @system.actor
    async def talk(ctx: Context) -> None:
        ctx.log.info("hello")

    async with system, Worker(system):
        handle = await talk.send()
        await handle
    (record,) = [r for r in caplog.records if r.message == "hello"]
    assert (record.name, record.__dict__["task_id"], record.__dict__["attempt"]) == ("actorq.task.talk", handle.id, 1)


async def test_a_time_limit_ends_an_async_task(system: ActorSystem) -> None:
    """E-1: an attempt is cancelled at its time limit, and fails as TimedOut; the call's limit wins over the actor's."""
    cancelled: list[str] = []

    @system.actor(timeout="10m", retry=Retry(max_attempts=1))
    async def sleep() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append("seen")

    async with system, Worker(system):
        with pytest.raises(TimedOut, match=r"0\.05 s") as caught:
            await sleep.options(timeout=0.05).ask()
        assert not caught.value.abandoned
        assert isinstance(caught.value, TimeoutError)
    assert cancelled == ["seen"]


async def test_a_deadline_ends_a_running_task(system: ActorSystem) -> None:
    """I-17: the root's deadline is the limit where it is earlier."""

    @system.actor
    async def sleep() -> None:
        await anyio.sleep_forever()

    async with system, Worker(system):
        with pytest.raises(DeadlineExceeded):
            await sleep.options(deadline="0.3s").ask()


async def test_a_stubborn_thread_is_abandoned(system: ActorSystem) -> None:
    """E-3: at its time limit a thread is abandoned, the attempt fails, the slot is free again."""
    go = threading.Event()

    @system.actor(threads=1, max_abandoned=5, retry=Retry(max_attempts=1))
    def stubborn(wait: bool) -> str:
        if wait:
            go.wait(30)
        return "done"

    async with system, Worker(system) as worker:
        try:
            with pytest.raises(TimedOut) as caught:
                await stubborn.options(timeout=0.1).ask(True)
            assert caught.value.abandoned
            assert worker.runners["stubborn"].jobs.threads.abandoned == 1
            assert await stubborn.ask(False) == "done"
        finally:
            go.set()
        await wait_until(lambda: worker.runners["stubborn"].jobs.threads.abandoned == 0, description="the thread ended")


async def test_a_cooperative_thread_stops(system: ActorSystem) -> None:
    """E-3: actorq.check_cancelled() raises in a thread whose run is over; nothing is abandoned."""
    stopped = threading.Event()

    @system.actor(retry=Retry(max_attempts=1))
    def loop() -> None:
        try:
            while True:
                check_cancelled()
                time.sleep(0.01)
        finally:
            stopped.set()

    async with system, Worker(system) as worker:
        with pytest.raises(TimedOut) as caught:
            await loop.options(timeout=0.1).ask()
        assert not caught.value.abandoned
        assert stopped.is_set()
        assert worker.runners["loop"].jobs.threads.abandoned == 0


def raising(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


RAISED: list[BaseException] = [
    SystemExit(3),
    StopIteration(1),
    TimeoutError("own"),
    asyncio.CancelledError(),
    BaseExceptionGroup("several", [SystemExit(1), ValueError("x")]),
    RecursionError("deep"),
    MemoryError(),
]
# In the loop's own thread these two are a signal and a closing generator.
IN_THREADS: list[BaseException] = [*RAISED, KeyboardInterrupt(), GeneratorExit()]


@pytest.mark.parametrize(
    ("threaded", "error"),
    [(False, error) for error in RAISED] + [(True, error) for error in IN_THREADS],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "thread" if value else "async",
)
async def test_whatever_user_code_raises_is_a_failure_of_its_message(
    system: ActorSystem, error: BaseException, threaded: bool
) -> None:
    """E-5: nothing that a handler raises is taken for the engine's own or ends the worker."""

    async def in_loop() -> None:
        raise error

    system.actor(name="fail", retry=Retry(max_attempts=1))(raising(error) if threaded else in_loop)

    @system.actor
    async def fine() -> str:
        return "fine"

    async with system, Worker(system):
        with pytest.raises(RemoteError) as caught:
            await system.ask("fail")
        assert not isinstance(caught.value, SystemExit | KeyboardInterrupt | StopIteration | asyncio.CancelledError)
        assert await fine.ask() == "fine"


async def test_waiting_for_a_task_lends_the_slot(system: ActorSystem) -> None:
    """E-8: a handler that awaits a handle frees its slot, so parents never starve their children."""

    @system.actor(concurrency=1)
    async def fib(n: int) -> int:
        if n < 2:
            return n
        first, second = await fib.send(n - 1), await fib.send(n - 2)
        return await first + await second

    async with system, Worker(system):
        assert await fib.ask(7) == 13


async def test_a_thread_may_ask_through_the_blocking_client(system: ActorSystem) -> None:
    """E-8: also a handler in a thread lends its slot while it waits."""

    @system.actor(threads=1)
    def countdown(n: int) -> int:
        return 0 if n == 0 else 1 + int(client.ask(countdown, n - 1))

    async with system, Worker(system):
        client = system.blocking()
        try:
            assert await countdown.ask(3) == 3
        finally:
            await anyio.to_thread.run_sync(client.close)


async def test_a_result_that_cannot_travel_fails_the_task(system: ActorSystem) -> None:
    """C-1, C-3: an unserialisable or oversized result is the task's failure, told to the waiter."""

    @system.actor(retry=Retry(max_attempts=1))
    async def lock() -> Any:
        return threading.Lock()

    @system.actor
    async def huge() -> bytes:
        return bytes(600_000)

    async with system, Worker(system):
        with pytest.raises(RemoteError, match="lock"):
            await lock.ask()
        with pytest.raises(RemoteError, match="limit"):
            await huge.ask()


async def test_concurrency_given_to_the_worker_wins(system: ActorSystem) -> None:
    """-c overrides every actor's own."""

    @system.actor(concurrency=9)
    async def work() -> None: ...

    async with system, Worker(system, WorkerOptions(concurrency=2)) as worker:
        assert worker.runners["work"].jobs.slots.capacity == 2


async def test_what_a_run_that_is_cut_short_raises_is_its_own(system: ActorSystem) -> None:
    """E-5: whatever a handler raises while the engine cancels it, the worker goes on."""

    @system.actor(timeout=0.05, retry=Retry(max_attempts=1))
    async def exits() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise SystemExit(3)

    @system.actor(timeout=0.05, retry=Retry(max_attempts=1))
    async def wraps() -> None:
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            raise BaseExceptionGroup("wrapped", [error, ValueError("more")]) from None

    @system.actor(timeout=0.05, retry=Retry(max_attempts=1))
    def checks() -> None:
        while True:
            check_cancelled()
            time.sleep(0.001)

    async with system, Worker(system):
        for actor in (exits, wraps, checks):
            for handle in await actor.send_many([()] * 10):
                with pytest.raises(TimedOut):
                    await handle


async def test_a_handler_that_cancels_its_own_task(system: ActorSystem, anyio_backend: str) -> None:
    """E-5: a cancellation that a handler leaves behind ends nobody else's work."""

    @system.actor
    async def cancels() -> str:
        if anyio_backend == "asyncio":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        return "done"

    async with system, Worker(system):
        assert await cancels.ask() == "done"
        assert await cancels.ask() == "done"


async def test_slots_survive_waiting_for_several_at_once(system: ActorSystem) -> None:
    """E-8: a parent that waits for children in tasks of its own holds one slot again afterwards, never more or less."""

    @system.actor(concurrency=1)
    async def child(x: int) -> int:
        return x

    @system.actor(concurrency=1)
    async def parent(x: int) -> int:
        got: list[int] = []

        async def wait(n: int) -> None:
            got.append(await child.ask(n))
            got.append(await child.ask(n))

        async with anyio.create_task_group() as tasks:
            for n in range(4):
                tasks.start_soon(wait, n)
        return sum(got)

    async with system, Worker(system) as worker:
        for _ in range(3):
            handles = await parent.send_many([(n,) for n in range(4)])
            assert [await handle for handle in handles] == [12] * 4
        slots = worker.runners["parent"].jobs.slots
        await wait_until(worker.idle, description="all is settled")
        assert (slots.running, slots.lent) == (0, 0)


async def test_a_worker_may_be_entered_again(system: ActorSystem) -> None:
    """A worker that was left serves again, and drains again."""
    running, go = anyio.Event(), anyio.Event()

    @system.actor
    async def wait() -> str:
        running.set()
        await go.wait()
        return "done"

    worker = Worker(system)
    async with system:
        async with worker:
            pass
        async with worker:
            handle = await wait.send()
            await running.wait()
            go.set()
        assert await handle.status() == "succeeded"


async def test_failures_are_in_the_workers_log(system: ActorSystem, caplog: pytest.LogCaptureFixture) -> None:
    """F-3: what goes to the dead letters is a warning with task, actor, reason and traceback."""

    @system.actor(retry=Retry(max_attempts=1))
    async def fail() -> None:
        raise LookupError("nothing here")

    async with system, Worker(system):
        handle = await fail.send()
        with pytest.raises(LookupError):
            await handle
        await wait_until(lambda: handle.id in caplog.text, description="it is logged")
    assert f"task {handle.id} of fail: retries_exhausted: LookupError: nothing here" in caplog.text
    assert "raise LookupError" in caplog.text


@pytest.mark.parametrize(
    "wrong", [{"queues": ("a b",)}, {"lease": 0.01}, {"crash_budget": 0}, {"shutdown_timeout": -1.0}]
)
async def test_worker_options_are_checked(wrong: dict[str, Any]) -> None:
    """Bad input: settings that cannot work are refused before anything is connected."""
    with pytest.raises(UsageError, match=next(iter(wrong)).rstrip("s")):
        WorkerOptions(**wrong)


async def test_wrappers_may_make_awaitables_of_values_and_back(system: ActorSystem) -> None:
    """E-1: what is awaitable is awaited, whatever kind of function the actor looks like."""

    async def inner(x: int) -> int:
        return x

    @system.actor(name="sync-outside")
    def outside(x: int) -> Any:
        return inner(x)

    @functools.wraps(inner)
    def cached(x: int) -> Any:
        return x

    system.actor(name="async-outside")(cached)
    async with system, Worker(system):
        assert await outside.ask(1) == 1
        assert await system.ask("async-outside", 2) == 2
