"""Failed attempts and what follows: semantics F-1, F-3, F-4, D-6, C-1, C-3, J-1."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from actorq import (
    ActorSystem,
    ConfigError,
    Context,
    DeadLettered,
    DeadlineExceeded,
    PayloadTooLarge,
    RemoteError,
    Retry,
    TimedOut,
    UsageError,
    Worker,
    WorkerOptions,
)
from actorq.core.codec import decode_dead, decode_envelope
from actorq.model.envelope import DeadLetter, Envelope
from actorq.model.options import CallOptions
from actorq.testing import virtual_time, wait_until

pytestmark = pytest.mark.anyio

QUICK = Retry(initial="10ms", factor=1)
ON_VIRTUAL_TIME = pytest.mark.parametrize(
    "anyio_backend", [virtual_time("asyncio"), virtual_time("trio")], ids=["asyncio", "trio"]
)


def gaps(moments: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(moments)]


async def letter_of(system: ActorSystem, actor: str, task_id: str) -> DeadLetter:
    subject = system.namespace.dead("default", actor, task_id)

    async def there() -> bool:
        return await system.client.transport.get(subject) is not None

    await wait_until(there, description=f"the dead letter of {task_id}")
    message = await system.client.transport.get(subject)
    assert message is not None
    return decode_dead(message.body)


async def copy_of(system: ActorSystem, actor: str, task_id: str) -> Envelope | None:
    message = await system.client.transport.get(system.namespace.copies(actor, task_id))
    return None if message is None else decode_envelope(message.body)


# ---- the policy


@ON_VIRTUAL_TIME
@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(initial="1s", jitter=False), [1, 2, 4]),
        (Retry(max_attempts=3, initial="30m", max="40m", jitter=False), [1800, 2400]),
        (Retry(max_attempts=5, initial="100ms", factor=3, jitter=False), [0.1, 0.3, 0.9, 2.7]),
        (Retry(max_attempts=3, initial=0), [0, 0]),
        (Retry(max_attempts=1), []),
    ],
)
async def test_a_task_that_always_fails_is_run_at_the_stated_delays_and_is_then_dead(
    actorq_memory: str, actorq_name: str, retry: Retry, delays: list[float]
) -> None:
    """F-1, F-3: as many runs as the policy allows, each after its backoff, then one dead letter with the traceback."""
    system = ActorSystem(actorq_name, transport=actorq_memory)
    runs: list[tuple[int, float]] = []

    @system.actor(retry=retry)
    async def fail(ctx: Context) -> None:
        runs.append((ctx.attempt, anyio.current_time()))
        raise ValueError(f"no {ctx.attempt}")

    async with system, Worker(system):
        handle = await fail.send()
        with pytest.raises(ValueError, match=f"no {retry.max_attempts}") as caught:
            await handle
        assert isinstance(caught.value, RemoteError)
        assert caught.value.attempts == retry.max_attempts
        letter = await letter_of(system, "fail", handle.id)
        subjects = await system.client.transport.scan(system.namespace.dead("*", "*", "*"))
    assert [attempt for attempt, _ in runs] == list(range(1, retry.max_attempts + 1))
    assert gaps([at for _, at in runs]) == pytest.approx(delays, abs=0.01)
    assert len(subjects) == 1
    assert (letter.reason, letter.error, letter.attempts) == ("retries_exhausted", "ValueError", retry.max_attempts)
    assert 'raise ValueError(f"no {ctx.attempt}")' in letter.traceback


@ON_VIRTUAL_TIME
async def test_jitter_waits_a_part_of_the_backoff(actorq_memory: str, actorq_name: str) -> None:
    """F-1: with full jitter, the default, the delays of many tasks are spread."""
    system = ActorSystem(actorq_name, transport=actorq_memory)
    failed: dict[str, float] = {}
    waited: list[float] = []

    @system.actor(retry=Retry(max_attempts=2, initial="100s"), concurrency=50)
    async def fail(ctx: Context) -> None:
        if ctx.attempt == 1:
            failed[ctx.id] = anyio.current_time()
            raise ValueError("no")
        waited.append(anyio.current_time() - failed[ctx.id])

    async with system, Worker(system):
        for handle in await fail.send_many([()] * 50):
            await handle
    assert all(0 <= seconds < 100.1 for seconds in waited)
    assert max(waited) - min(waited) > 10


async def test_an_attempt_may_succeed_after_others_failed(system: ActorSystem) -> None:
    """F-1: the value counts, and nothing is dead."""
    attempts: list[int] = []

    @system.actor(retry=QUICK)
    def flaky(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionError("not yet")
        return "at last"

    async with system, Worker(system):
        assert await flaky.ask() == "at last"
        assert not await system.client.transport.scan(system.namespace.dead("*", "*", "*"))
    assert attempts == [1, 2, 3]


@pytest.mark.parametrize("no_retry", [(OSError,), ("OSError",), ["builtins.ConnectionError"]])
async def test_some_exceptions_are_not_retried(system: ActorSystem, no_retry: Any) -> None:
    """F-1: those in no_retry, by class or name, and what derives from them."""
    attempts: list[int] = []

    @system.actor(retry=Retry(initial="10ms", no_retry=no_retry))
    async def fail(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ConnectionResetError("gone")

    async with system, Worker(system):
        handle = await fail.send()
        with pytest.raises(ConnectionResetError) as caught:
            await handle
        assert isinstance(caught.value, RemoteError)
        assert caught.value.attempts == 1
        assert (await letter_of(system, "fail", handle.id)).reason == "retries_exhausted"
    assert attempts == [1]


async def test_a_call_may_bring_a_policy_of_its_own(system: ActorSystem) -> None:
    """C-1: it counts instead of the actor's; tasks that the handler sends have their actors' again."""
    runs: list[str] = []

    class Local(Exception):
        pass

    @system.actor(retry=Retry(max_attempts=1))
    async def child() -> None:
        runs.append("child")
        raise LookupError

    @system.actor(retry=Retry(max_attempts=1))
    async def parent(kind: str) -> None:
        runs.append("parent")
        if kind == "local":
            raise Local
        await child.ask()

    async with system, Worker(system):
        with pytest.raises(LookupError):
            await parent.options(retry=Retry(max_attempts=2, initial="10ms")).ask("child")
        # The second attempt awaits the same child, which has its outcome.
        assert runs == ["parent", "child", "parent"]
        with pytest.raises(RemoteError, match="Local"):
            await parent.options(retry=Retry(no_retry=(Local,))).ask("local")
        assert runs == ["parent", "child", "parent", "parent"]


async def test_a_time_limit_is_a_failed_attempt(system: ActorSystem) -> None:
    """F-1, E-3: also one whose thread had to be abandoned."""
    go = threading.Event()
    attempts: list[int] = []

    @system.actor(retry=QUICK, timeout="50ms")
    async def sleeps(ctx: Context) -> int:
        if ctx.attempt < 3:
            await anyio.sleep_forever()
        return ctx.attempt

    @system.actor(retry=Retry(max_attempts=2, initial="10ms"), timeout="50ms", max_abandoned=9)
    def blocks(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        go.wait(30)

    async with system, Worker(system) as worker:
        assert await sleeps.ask() == 3
        try:
            with pytest.raises(TimedOut) as caught:
                await blocks.ask()
            assert caught.value.abandoned
            assert (attempts, caught.value.attempts) == ([1, 2], 2)
        finally:
            go.set()
        await wait_until(lambda: not worker.abandoned, description="the threads ended")


@pytest.mark.parametrize("threaded", [False, True])
async def test_sys_exit_fails_the_attempt_and_nothing_else(system: ActorSystem, threaded: bool) -> None:
    """E-5, F-1: a handler that calls sys.exit() fails like any other, and is retried."""

    async def in_loop(ctx: Context) -> int:
        return in_thread(ctx)

    def in_thread(ctx: Context) -> int:
        if ctx.attempt == 1:
            sys.exit(3)
        return ctx.attempt

    system.actor(name="exits", retry=QUICK)(in_thread if threaded else in_loop)
    async with system, Worker(system):
        assert await system.ask("exits") == 2


async def test_results_that_cannot_travel(system: ActorSystem) -> None:
    """C-1, C-3: one that is not serialisable fails the attempt; one that is too large fails the task."""
    runs: list[str] = []

    @system.actor(retry=QUICK)
    async def unknown(ctx: Context) -> Any:
        return threading.Lock() if ctx.attempt == 1 else ctx.attempt

    @system.actor(retry=QUICK)
    async def large() -> bytes:
        runs.append("large")
        return bytes(600_000)

    async with system, Worker(system):
        assert await unknown.ask() == 2
        handle = await large.send()
        with pytest.raises(PayloadTooLarge):
            await handle
        assert (await letter_of(system, "large", handle.id)).reason == "too_large"
    assert runs == ["large"]


@pytest.mark.parametrize("options", [{"deadline": "1m"}, {"expires": "1m"}], ids=str)
async def test_no_attempt_is_planned_that_would_start_too_late(system: ActorSystem, options: CallOptions) -> None:
    """I-17, J-2: the task fails at once, with the handler's own error."""
    runs: list[int] = []

    @system.actor(retry=Retry(initial="1h", jitter=False))
    async def fail(ctx: Context) -> None:
        runs.append(ctx.attempt)
        raise LookupError("its own")

    async with system, Worker(system):
        handle = await fail.options(**options).send()
        with pytest.raises(LookupError, match="its own"):
            await handle.result(timeout=10)
        letter = await letter_of(system, "fail", handle.id)
    assert (letter.reason, letter.error, letter.attempts) == ("expired", "LookupError", 1)
    assert runs == [1]


async def test_a_deadline_that_passes_during_an_attempt_ends_the_task(system: ActorSystem) -> None:
    """I-17: there is no time left for another one."""
    runs: list[int] = []

    @system.actor(retry=QUICK)
    async def sleeps(ctx: Context) -> None:
        runs.append(ctx.attempt)
        await anyio.sleep_forever()

    async with system, Worker(system):
        with pytest.raises(DeadlineExceeded):
            await sleeps.options(deadline="200ms").ask()
    assert runs == [1]


async def test_each_failed_attempt_is_in_the_log(system: ActorSystem, caplog: pytest.LogCaptureFixture) -> None:
    """F-1: a warning says which attempt of how many failed, why, when the next one is; the traceback is for debug."""
    caplog.set_level(logging.DEBUG, "actorq.worker")

    @system.actor(retry=Retry(max_attempts=2, initial="10ms", jitter=False))
    async def fail() -> None:
        raise ValueError("boom")

    async with system, Worker(system):
        handle = await fail.send()
        with pytest.raises(ValueError, match="boom"):
            await handle
        await wait_until(lambda: "retries_exhausted" in caplog.text, description="the end is logged")
    first, trace, last = [record for record in caplog.records if handle.id in record.message]
    assert first.message == f"task {handle.id} of fail: attempt 1 of 2 failed: ValueError: boom; next in 0.01 s"
    assert (first.levelname, first.__dict__["attempt"]) == ("WARNING", 1)
    assert (trace.levelname, 'raise ValueError("boom")' in trace.message) == ("DEBUG", True)
    assert (last.levelname, 'raise ValueError("boom")' in last.message) == ("WARNING", True)


async def test_a_handler_that_cancels_its_own_task_and_fails(system: ActorSystem, anyio_backend: str) -> None:
    """E-5: the cancellation that it leaves behind does not cost it its next attempt."""

    @system.actor(retry=QUICK)
    async def cancels(ctx: Context) -> int:
        if ctx.attempt < 3:
            if anyio_backend == "asyncio":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            raise ValueError
        return ctx.attempt

    async with system, Worker(system):
        assert await cancels.ask() == 3


# ---- waiting for the next attempt


async def test_a_long_delay_is_held_by_the_broker(system: ActorSystem) -> None:
    """J-1, E-7: the task is `retrying`, and the next attempt is made whichever worker is there when it is due."""
    attempts: list[int] = []

    @system.actor(retry=Retry(initial="1.5s", jitter=False))
    async def flaky(ctx: Context) -> int:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError
        return ctx.attempt

    async with system:
        async with Worker(system) as worker:
            handle = await flaky.send()
            await wait_until(lambda: attempts == [1], description="it failed")
            await wait_until(worker.idle, description="it is handed on")
        assert await handle.status() == "retrying"
        async with Worker(system):
            assert await handle == 2
    assert attempts == [1, 2]


async def test_a_short_delay_is_waited_out_without_a_slot(system: ActorSystem) -> None:
    """D-6: meanwhile another task runs in its place."""
    order: list[str] = []

    @system.actor(concurrency=1, retry=Retry(initial="900ms", jitter=False))
    async def work(ctx: Context, name: str) -> None:
        order.append(name)
        if name == "first" and ctx.attempt == 1:
            raise ValueError

    async with system, Worker(system) as worker:
        first = await work.send("first")
        await wait_until(lambda: order == ["first"], description="it failed")
        await wait_until(lambda: worker.runners["work"].jobs.slots.running == 0, description="it has no slot")
        assert await first.status() == "running"
        await work.ask("second")
        await first
        await wait_until(worker.idle, description="all is settled")
        assert worker.runners["work"].jobs.slots.running == 0
    assert order == ["first", "second", "first"]


@pytest.mark.parametrize("end", ["stop", "lose"])
async def test_a_wait_that_is_cut_short_loses_nothing(system: ActorSystem, end: str) -> None:
    """D-6: a holder that stops, or whose lease ends, hands the next attempt on at once."""
    attempts: list[int] = []

    @system.actor(retry=Retry(initial="900ms", jitter=False))
    async def flaky(ctx: Context) -> int:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError
        return ctx.attempt

    async with system:
        async with Worker(system, WorkerOptions(shutdown_timeout=0)) as worker:
            runner = worker.runners["flaky"]
            handle = await flaky.send()
            await wait_until(lambda: attempts == [1] and runner.jobs.slots.running == 0, description="it waits")
            if end == "lose":
                (job,) = runner.jobs
                job.lose()
                await wait_until(worker.idle, description="it is handed on")
        again = await copy_of(system, "flaky", handle.id)
        assert again is not None
        assert (again.attempt, again.repeat, again.leases_lost) == (2, True, 0)
        assert await handle.status() == "retrying"
        async with Worker(system):
            assert await handle == 2
    assert attempts == [1, 2]


# ---- what a handler says itself


async def in_task_group(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        tasks.start_soon(fail)


async def test_a_handler_asks_for_another_attempt(system: ActorSystem) -> None:
    """F-4: ctx.retry passes through `except Exception` and task groups, in the loop and in threads; it counts."""
    attempts: list[str] = []

    @system.actor(retry=QUICK)
    async def in_loop(ctx: Context) -> int:
        attempts.append(f"loop {ctx.attempt}")
        try:
            if ctx.attempt == 1:
                raise ctx.retry(delay="10ms")
            if ctx.attempt == 2:
                await in_task_group(ctx.retry())
        except Exception:
            attempts.append("swallowed")
        return ctx.attempt

    @system.actor(retry=QUICK)
    def in_thread(ctx: Context) -> int:
        attempts.append(f"thread {ctx.attempt}")
        if ctx.attempt == 1:
            raise ctx.retry(delay="10ms")
        return ctx.attempt

    async with system, Worker(system):
        assert await in_loop.ask() == 3
        assert await in_thread.ask() == 2
    assert attempts == ["loop 1", "loop 2", "loop 3", "thread 1", "thread 2"]


async def test_a_handlers_own_delay_counts_instead_of_the_policys(system: ActorSystem) -> None:
    """F-4: what is to be retried is, even if its cause were not; after the last attempt the cause is the error."""
    attempts: list[int] = []

    @system.actor(retry=Retry(max_attempts=3, initial="1h", jitter=False, no_retry=(LookupError,)))
    async def ask(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        try:
            raise LookupError("busy")
        except LookupError:
            raise ctx.retry(delay="10ms")  # noqa: B904  what is handled here is its cause

    @system.actor(retry=Retry(max_attempts=1))
    async def chained(ctx: Context) -> None:
        raise ctx.retry() from KeyError("k")

    async with system, Worker(system):
        handle = await ask.send()
        with pytest.raises(LookupError, match="busy"):
            await handle
        letter = await letter_of(system, "ask", handle.id)
        assert (letter.reason, letter.error, letter.attempts) == ("retries_exhausted", "LookupError", 3)
        with pytest.raises(KeyError):
            await chained.ask()
    assert attempts == [1, 2, 3]


async def test_asking_in_vain_without_a_cause_says_so(system: ActorSystem) -> None:
    """F-4: after the last attempt there is an error of its own."""

    @system.actor(retry=Retry(max_attempts=2, initial="10ms"))
    async def asks(ctx: Context) -> None:
        raise ctx.retry()

    async with system, Worker(system):
        handle = await asks.send()
        with pytest.raises(RemoteError, match=r"asked for another attempt with ctx\.retry\(\)") as caught:
            await handle
        assert caught.value.attempts == 2
        letter = await letter_of(system, "asks", handle.id)
        assert (letter.reason, letter.attempts) == ("retries_exhausted", 2)
        assert "raise ctx.retry()" in letter.traceback


async def test_a_handler_puts_its_task_off(system: ActorSystem) -> None:
    """F-4: ctx.snooze is no attempt, however often."""
    runs: list[int] = []

    @system.actor(retry=Retry(max_attempts=1))
    async def patient(ctx: Context) -> int:
        runs.append(ctx.attempt)
        if len(runs) == 1:
            raise ctx.snooze("10ms")
        if len(runs) < 4:
            await in_task_group(ctx.snooze(0))
        return ctx.attempt

    @system.actor
    def later(ctx: Context) -> None:
        runs.append(0)
        raise ctx.snooze("1h")

    async with system, Worker(system) as worker:
        assert await patient.ask() == 1
        assert runs == [1, 1, 1, 1]
        handle = await later.send()
        await wait_until(lambda: runs[-1] == 0 and worker.idle(), description="it is put off")
        assert await handle.status() == "scheduled"
        again = await copy_of(system, "later", handle.id)
        assert again is not None
        assert (again.attempt, again.repeat, again.leases_lost) == (1, True, 0)


@ON_VIRTUAL_TIME
async def test_a_task_is_put_off_for_as_long_as_stated(actorq_memory: str, actorq_name: str) -> None:
    """F-4, I-17: but not beyond its deadline, at which whoever awaits it hears of that."""
    system = ActorSystem(actorq_name, transport=actorq_memory)
    runs: list[float] = []

    @system.actor
    async def patient(ctx: Context, times: int) -> None:
        runs.append(anyio.current_time())
        if len(runs) <= times:
            raise ctx.snooze("1h")

    async with system, Worker(system):
        await patient.ask(2)
        assert gaps(runs) == pytest.approx([3600] * 2, abs=1)
        runs.clear()
        started = anyio.current_time()
        with pytest.raises(DeadlineExceeded):
            await patient.options(deadline="90m").ask(9)
        assert anyio.current_time() - started == pytest.approx(5400, abs=2)
    assert len(runs) == 2


async def test_a_handler_rejects_its_task(system: ActorSystem) -> None:
    """F-4: ctx.reject makes it a dead letter at once, with the reason for whoever awaits it."""
    runs: list[str] = []

    @system.actor(retry=QUICK)
    async def in_loop(ctx: Context) -> None:
        runs.append("loop")
        await in_task_group(ctx.reject("no such order"))

    @system.actor(retry=QUICK)
    def in_thread(ctx: Context) -> None:
        runs.append("thread")
        try:
            raise ctx.reject("no such order")
        except Exception:
            runs.append("swallowed")

    async with system, Worker(system):
        for actor in (in_loop, in_thread):
            handle = await actor.send()
            with pytest.raises(DeadLettered, match="no such order") as caught:
                await handle
            assert (caught.value.reason, caught.value.attempts) == ("rejected", 1)
            letter = await letter_of(system, actor.to, handle.id)
            assert letter.reason == "rejected"
            assert "no such order" in letter.message
            assert "raise " in letter.traceback
    assert runs == ["loop", "thread"]


async def test_what_is_not_raised_has_no_effect(system: ActorSystem) -> None:
    """F-4: a directive has to be raised; returned it is a mistake that is told."""

    @system.actor(retry=QUICK)
    async def only_called(ctx: Context) -> str:
        ctx.retry()
        ctx.snooze("1h")
        ctx.reject("nothing")
        return "done"

    @system.actor(retry=Retry(max_attempts=1))
    async def returned(ctx: Context) -> Any:
        return ctx.retry()

    async with system, Worker(system):
        assert await only_called.ask() == "done"
        with pytest.raises(UsageError, match="raise it"):
            await returned.ask()


async def test_wrong_directives_are_failures_of_the_attempt(system: ActorSystem) -> None:
    """F-4: with the mistake named."""

    @system.actor(retry=Retry(max_attempts=1))
    async def wrong(ctx: Context, what: str) -> None:
        match what:
            case "retry":
                raise ctx.retry("soon")
            case "snooze":
                raise ctx.snooze(-1)
            case _:
                raise ctx.reject(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async with system, Worker(system):
        for what, kind in (("retry", ConfigError), ("snooze", ConfigError), ("reject", UsageError)):
            with pytest.raises(kind, match=rf"ctx\.{what}"):
                await wrong.ask(what)


async def test_several_errors_in_one_group_are_one_failure(system: ActorSystem) -> None:
    """F-4: a directive among other errors is no word on the message."""

    @system.actor(retry=Retry(max_attempts=2, initial="10ms"))
    async def torn(ctx: Context) -> None:
        raise BaseExceptionGroup("torn", [ctx.reject("no"), ValueError("also")])

    async with system, Worker(system):
        with pytest.raises(RemoteError, match="torn") as caught:
            await torn.ask()
        assert caught.value.attempts == 2


async def test_middleware_sees_directives_pass(system: ActorSystem) -> None:
    """E-9, F-4: it wraps each attempt, and `except Exception` in it leaves them alone."""
    seen: list[str] = []

    @system.middleware
    async def watch(ctx: Context, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except Exception as error:
            seen.append(f"error {error}")
            raise
        except BaseException as directive:
            seen.append(type(directive).__name__)
            raise

    @system.actor(retry=QUICK)
    async def work(ctx: Context) -> int:
        match ctx.attempt:
            case 1:
                raise ValueError("plain")
            case 2:
                raise ctx.retry(0)
            case _:
                return ctx.attempt

    async with system, Worker(system):
        assert await work.ask() == 3
    assert seen == ["error plain", "RetryDirective"]
