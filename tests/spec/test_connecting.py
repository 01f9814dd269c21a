"""Connecting: one connection for all tasks of an event loop, whoever comes first and goes last (interface 1)."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskStatus

from actorq import ActorSystem, BrokerUnavailable, UsageError, Worker
from actorq.client import Client
from tests.spec.conftest import MakeSystem

pytestmark = pytest.mark.anyio


def declare(system: ActorSystem) -> None:
    @system.actor(name="echo")
    async def _(x: int) -> int:
        return x


async def test_the_last_to_leave_closes(system: ActorSystem) -> None:
    """Who entered first may leave first, and who leaves last closes what another task has opened."""
    declare(system)
    first_has_left = anyio.Event()
    clients: list[Client] = []

    async def first(*, task_status: TaskStatus[None]) -> None:
        async with Worker(system):
            clients.append(system.client)
            task_status.started()
            assert await system.ask("echo", 1) == 1
        first_has_left.set()

    with anyio.fail_after(30.0):
        async with anyio.create_task_group() as group:
            await group.start(first)
            async with system:
                await first_has_left.wait()
                handle = await system.send("echo", 2)
                assert await handle.status() == "queued"
                assert system.client is clients[0]
    with pytest.raises(UsageError, match="not connected"):
        _ = system.client
    with pytest.raises(BrokerUnavailable):
        await clients[0].find("any")


async def test_all_at_once_share_one_connection(system: ActorSystem) -> None:
    """Tasks that enter at the same moment connect once."""
    clients: list[Client] = []
    all_are_in = anyio.Event()

    async def enter() -> None:
        async with system:
            clients.append(system.client)
            if len(clients) == 5:
                all_are_in.set()
            await all_are_in.wait()
            await system.send("echo", 1)

    with anyio.fail_after(30.0):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(enter)
    assert len(set(clients)) == 1


async def test_one_who_gives_up_entering_leaves_it_to_the_others(system: ActorSystem) -> None:
    """Cancelled while it connects, a task takes nobody with it."""

    async def enter() -> None:
        async with system:
            await system.send("echo", 1)

    with anyio.fail_after(30.0):
        async with anyio.create_task_group() as group, anyio.create_task_group() as given_up:
            given_up.start_soon(enter)
            group.start_soon(enter)
            await anyio.lowlevel.checkpoint()
            given_up.cancel_scope.cancel()


async def test_a_cancelled_block_closes(system: ActorSystem) -> None:
    """Also the last one out of a cancelled scope closes, and the next one in connects."""
    clients: list[Client] = []
    with anyio.CancelScope() as scope:
        async with system:
            clients.append(system.client)
            scope.cancel()
            await anyio.sleep_forever()
    with pytest.raises(BrokerUnavailable):
        await clients[0].find("any")
    async with system:
        assert system.client is not clients[0]
        await system.send("echo", 1)


async def test_each_event_loop_has_a_connection_of_its_own(system: ActorSystem, anyio_backend_name: str) -> None:
    """A sync handler's own event loop may enter the system while the worker's has it open."""
    declare(system)

    @system.actor
    def outer(x: int) -> int:
        async def ask() -> int:
            async with system:
                return int(await system.ask("echo", x))

        return anyio.run(ask, backend=anyio_backend_name)

    async with Worker(system):
        client = system.client
        with anyio.fail_after(30.0):
            assert await outer.ask(5) == 5
        assert system.client is client


def test_a_loop_that_ended_within_leaves_no_trace(make_system: MakeSystem) -> None:
    """A program that never left the system in one event loop enters it in the next, on whichever backend."""
    system = make_system()

    async def enter_only() -> None:
        await system.__aenter__()

    async def use() -> None:
        async with system:
            await system.send("echo", 1)

    anyio.run(use)
    anyio.run(use, backend="trio")
    with pytest.raises(UsageError, match="not connected"):
        _ = system.client
    if (system.transport or "").startswith("memory"):
        anyio.run(enter_only)
        anyio.run(enter_only, backend="trio")
        anyio.run(use)
