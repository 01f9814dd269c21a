"""Threads that do not stop, counted."""

from __future__ import annotations

import threading

import anyio
import pytest

from actorq.runtime.threads import Threads

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_limit_that_is_lowered_below_the_count_is_still_one() -> None:
    """E-3: a reload may lower it while threads are abandoned; the next one is one too many all the same."""
    told: list[int] = []
    threads, gate = Threads(5, lambda: told.append(threads.abandoned)), threading.Event()

    async def abandon() -> None:
        call = threads.call(gate.wait)
        with anyio.move_on_after(0.05):
            await call()
        assert not await call.ended_in_time()

    try:
        await abandon()
        await abandon()
        threads.limit = 1
        assert told == []
        await abandon()
        assert told == [3]
    finally:
        gate.set()
