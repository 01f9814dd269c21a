"""A class's instances as workers make them, set them up and tear them down."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from typing import Any

import anyio
import pytest

from actorq.model.policy import Policy
from actorq.runtime.target import Background, Target

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Pool:
    def use(self) -> None: ...


def target(declared: Any, **options: object) -> Target:
    return Target.of("pool", declared, Policy().merged(options, "pool"))


async def test_a_function_has_nothing_to_set_up() -> None:
    def use() -> None: ...

    pool = target(use)
    async with anyio.create_task_group() as tasks:
        assert pool.build() is None
        await pool.set_up(None, tasks)
        await pool.tear_down(None)


class Waits(Pool):
    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def setup(self) -> Awaitable[None]:
        self.threads.append(threading.current_thread())
        return self.opened()

    async def opened(self) -> None:
        self.threads.append(threading.current_thread())

    def teardown(self) -> None:
        self.threads.append(threading.current_thread())
        raise ConnectionError("gone")


async def test_plain_hooks_run_in_threads_and_what_they_give_is_awaited() -> None:
    pool = target(Waits)
    instance: Any = pool.build()
    async with anyio.create_task_group() as tasks:
        await pool.set_up(instance, tasks)
    with pytest.raises(ConnectionError, match="gone"):
        await pool.tear_down(instance)
    main = threading.main_thread()
    assert [thread is main for thread in instance.threads] == [False, True, False]


class Refreshes(Pool):
    async def setup(self, *, tasks: Background) -> None:
        tasks.start_soon(self.fail, 3, name="refresh")

    async def fail(self, code: int) -> None:
        raise ConnectionError(code)


async def test_setup_receives_where_to_start_tasks() -> None:
    """A parameter annotated Background does, under whatever name; a task group is one for a test of the class alone."""
    pool = target(Refreshes)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            await pool.set_up(pool.build(), tasks)
    assert [error.args for error in caught.value.exceptions] == [(3,)]


class Mixed(Pool):
    async def wait(self) -> None: ...


async def test_slots_of_a_class() -> None:
    """A class whose methods are all plain has as many as threads, any other as many as its concurrency says."""
    assert target(Pool, concurrency=9, threads=3).slots == 3
    assert target(Mixed, concurrency=9, threads=3).slots == 9
