"""Awaiting outcomes: semantics D-1, E-7, I-10."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from actorq import (
    ActorSystem,
    BrokerUnavailable,
    DeadlineExceeded,
    Expired,
    Handle,
    RemoteError,
    ResultExpired,
    ResultTimeout,
    Retry,
    UnknownTask,
    Worker,
)
from actorq.testing import wait_until
from tests.spec.conftest import MakeSystem

pytestmark = pytest.mark.anyio


class OutOfStock(Exception):
    """Registered in one test, unknown in another."""


async def test_a_handle_from_any_process_by_id(make_system: MakeSystem) -> None:
    """A-3: a handle can be awaited later, from anywhere, by id; before and after the task ended."""
    here, there = make_system(), make_system()

    @here.actor
    async def echo(x: int) -> int:
        return x

    async with here, there:
        handle = await echo.send(5)
        async with anyio.create_task_group() as tasks:
            results: list[int] = []

            async def wait() -> None:
                results.append(await there.handle(handle.id))

            tasks.start_soon(wait)
            async with Worker(here):
                await handle
                await wait_until(lambda: results == [5], description="the other program's waiter")
        assert await there.handle(handle.id) == 5
        assert await there.handle(handle.id).status() == "succeeded"


async def test_states(system: ActorSystem) -> None:
    """E-7: queued, running, succeeded, failed."""
    go = anyio.Event()

    @system.actor(retry=Retry(max_attempts=1))
    async def wait(fail: bool) -> None:
        await go.wait()
        if fail:
            raise OutOfStock("none left")

    async with system:
        good, bad = await wait.send(False), await wait.send(True)
        assert await good.status() == "queued"
        async with Worker(system):

            async def running() -> bool:
                return await good.status() == "running"

            await wait_until(running, description="the task runs")
            go.set()
            await good
            with pytest.raises(RemoteError):
                await bad
            assert (await good.status(), await bad.status()) == ("succeeded", "failed")


async def test_a_timeout_leaves_the_task_alone(system: ActorSystem) -> None:
    """E-7: ResultTimeout is also a TimeoutError; the handle can be awaited again."""

    @system.actor
    async def echo(x: int) -> int:
        return x

    async with system:
        handle = await echo.send(1)
        with pytest.raises(ResultTimeout) as caught:
            await handle.result(timeout=0.05)
        assert isinstance(caught.value, TimeoutError)
        assert handle.id in str(caught.value)
        async with Worker(system):
            assert await handle == 1


async def test_unknown_and_expired(make_system: MakeSystem) -> None:
    """E-7: an id given by a user and never sent is unknown; one made here whose record is gone is expired."""
    system, there = make_system(), make_system()

    @system.actor(result_ttl="1s")
    async def echo(x: int) -> int:
        return x

    async with system, there, Worker(system):
        with pytest.raises(UnknownTask, match="nobody-sent-this"):
            await system.handle("nobody-sent-this")
        handle = await echo.send(1)
        await handle

        async def gone() -> bool:
            return await system.client.record(handle.id) is None

        await wait_until(gone, description="the record's time to live is over")
        with pytest.raises(ResultExpired, match="result_ttl"):
            await there.handle(handle.id)
        assert await handle == 1, "a handle that has its outcome keeps it"


async def test_built_in_errors_keep_their_class(system: ActorSystem) -> None:
    """I-10: the awaiting side gets a RemoteError that is also the original built-in class."""

    @system.actor(retry=Retry(max_attempts=1))
    def fail() -> None:
        dict[str, int]()["missing"]

    async with system, Worker(system):
        with pytest.raises(KeyError) as caught:
            await fail.ask()
        error = caught.value
        assert isinstance(error, RemoteError)
        assert (error.actor, error.attempts, error.type_name) == ("fail", 1, "KeyError")
        assert 'dict[str, int]()["missing"]' in error.remote_traceback
        assert error.task_id


async def test_other_errors_are_rebuilt_where_registered(make_system: MakeSystem) -> None:
    """I-10, quality 3: a class is rebuilt only from the registry, never imported by name."""
    here, there = make_system(), make_system()
    here.exceptions.register(OutOfStock)

    @here.actor(retry=Retry(max_attempts=1))
    async def fail() -> None:
        raise OutOfStock("none left")

    async with here, there, Worker(here):
        handle = await fail.send()
        with pytest.raises(OutOfStock, match="none left") as known:
            await handle
        assert isinstance(known.value, RemoteError)
        with pytest.raises(RemoteError, match="none left") as unknown:
            await there.handle(handle.id)
        assert not isinstance(unknown.value, OutOfStock)
        assert unknown.value.type_name.endswith("OutOfStock")


async def test_expired_before_it_started(system: ActorSystem) -> None:
    """J-2: a task not started by its expires is not run; its waiter gets Expired."""

    @system.actor
    async def never() -> None:
        raise AssertionError("it must not run")

    async with system:
        late = await never.options(expires="10ms").send()
        dead = await never.options(deadline="10ms").send()
        due = system.client.transport.now() + 0.02
        await wait_until(lambda: system.client.transport.now() > due, description="both are late")
        async with Worker(system):
            with pytest.raises(Expired):
                await late
            with pytest.raises(DeadlineExceeded):
                await dead
        assert await late.status() == "expired"


async def test_a_short_time_is_enough_for_what_is_there(make_system: MakeSystem) -> None:
    """E-7: result(timeout=0) finds an outcome that exists, however long the look takes."""
    here, there = make_system(), make_system()

    @here.actor
    async def echo(x: int) -> int:
        return x

    async with here, there, Worker(here):
        handle = await echo.send(1)
        assert await handle == 1
        assert await there.handle(handle.id).result(timeout=0) == 1
        with pytest.raises(ResultTimeout):
            await (await here.send("nobody-serves-this")).result(timeout=0)


async def test_a_closed_connection_ends_its_waiters(system: ActorSystem) -> None:
    """E-7: an await whose connection was closed is an error, no wait for ever."""
    caught: list[BaseException] = []

    async def wait(handle: Handle[Any]) -> None:
        try:
            await handle
        except BrokerUnavailable as error:
            caught.append(error)

    await system.__aenter__()
    handle = await system.send("nobody-serves-this")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, handle)
        await anyio.wait_all_tasks_blocked()
        await system.__aexit__(None, None, None)
    with pytest.raises(BrokerUnavailable, match=handle.id):
        await handle
    assert len(caught) == 1
