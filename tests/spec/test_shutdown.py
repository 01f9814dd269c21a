"""Stopping a worker inside a program: semantics D-6, E-4, E-6."""

from __future__ import annotations

import anyio
import pytest

from actorq import ActorSystem, Context, Worker, WorkerOptions
from actorq.core.codec import decode_envelope
from actorq.testing import wait_until

pytestmark = pytest.mark.anyio


async def test_running_tasks_finish_within_the_grace(system: ActorSystem) -> None:
    """E-6: leaving the worker lets what runs finish."""
    running, go = anyio.Event(), anyio.Event()

    @system.actor
    async def work() -> str:
        running.set()
        await go.wait()
        return "finished"

    async with system:
        async with Worker(system):
            handle = await work.send()
            await running.wait()
            go.set()
        assert await handle.status() == "succeeded"


async def test_what_does_not_finish_is_handed_back(system: ActorSystem) -> None:
    """D-6, E-6: after the grace a run is cancelled and re-issued at once; that is no attempt and no lost lease."""
    attempts: list[int] = []
    running = anyio.Event()

    @system.actor
    async def work(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        if len(attempts) == 1:
            running.set()
            await anyio.sleep_forever()
        return "second"

    async with system:
        async with Worker(system, WorkerOptions(shutdown_timeout=0.05)):
            handle = await work.send()
            await running.wait()
        copy = await system.client.transport.get(system.namespace.copies("work", handle.id))
        assert copy is not None
        envelope = decode_envelope(copy.body)
        assert (envelope.attempt, envelope.leases_lost, envelope.repeat) == (1, 0, True)
        async with Worker(system):
            assert await handle == "second"
    assert attempts == [1, 1]


async def test_what_has_not_started_is_handed_back_at_once(system: ActorSystem) -> None:
    """E-6: messages that wait for a slot do not wait for the grace."""
    running, go = anyio.Event(), anyio.Event()
    started: list[int] = []

    @system.actor(concurrency=1)
    async def work(n: int) -> int:
        started.append(n)
        if n >= 0:
            running.set()
            await go.wait()
        return n

    async with system:
        async with Worker(system) as worker:
            # Once both mailboxes are bound, each has credit for the one slot.
            assert await work.options(queue="other").ask(-1) == -1
            first = await work.send(0)
            await running.wait()
            waiting = await work.options(queue="other").send(1)
            await wait_until(lambda: len(worker.runners["work"].jobs) == 2, description="the second is held")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(worker.runners["work"].stop_pulling)
                await wait_until(lambda: len(worker.runners["work"].jobs) == 1, description="it is handed back")
                go.set()
        assert await first == 0
        assert started == [-1, 0]
        assert await waiting.status() == "queued"
        async with Worker(system):
            assert await waiting == 1


async def test_a_stop_while_settling(system: ActorSystem) -> None:
    """E-4: cancelling the program does not lose an outcome that exists."""
    ended = anyio.Event()

    @system.actor
    async def work() -> str:
        ended.set()
        return "kept"

    async with system:
        handle = await work.send()
        with anyio.CancelScope() as program:
            async with Worker(system):
                await ended.wait()
                program.cancel()
        assert await handle.status() in ("succeeded", "queued")
        async with Worker(system):
            assert await handle == "kept"


async def test_a_cancelled_program_hands_back_what_runs(system: ActorSystem) -> None:
    """E-6: cancelling the surroundings of a worker is a stop: what runs and what waits is re-issued at once."""
    running = anyio.Event()
    again: list[int] = []

    @system.actor(concurrency=2)
    async def work(n: int) -> int:
        again.append(n)
        if len(again) <= 2:
            if len(again) == 2:
                running.set()
            await anyio.sleep_forever()
        return n

    async with system:
        handles = await work.send_many([(n,) for n in range(4)])
        with anyio.CancelScope() as program:
            async with Worker(system):
                await running.wait()
                program.cancel()
        for handle in handles[:2]:
            copy = await system.client.transport.get(system.namespace.copies("work", handle.id))
            assert copy is not None
            assert decode_envelope(copy.body).repeat
        async with Worker(system):
            assert [await handle for handle in handles] == [0, 1, 2, 3]
