"""Virtual time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

import anyio
import pytest

from actorq.testing import virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    backend: Literal["asyncio", "trio"] = request.param
    return virtual_time(backend)


async def test_almost_a_day_passes_at_once() -> None:
    """Sleeping takes no real time, and the loop's clock shows what was slept."""
    real, virtual = time.monotonic(), anyio.current_time()
    await anyio.sleep(80_000.0)
    assert anyio.current_time() - virtual == pytest.approx(80_000.0)
    assert time.monotonic() - real < 10.0


async def test_sleepers_wake_in_order() -> None:
    """Whoever is due first runs first, and time stands still while anybody runs."""
    woken: list[tuple[int, float]] = []
    started = anyio.current_time()

    async def sleep(seconds: int) -> None:
        await anyio.sleep(seconds)
        woken.append((seconds, round(anyio.current_time() - started)))

    async with anyio.create_task_group() as group:
        for seconds in (30, 10, 20):
            group.start_soon(sleep, seconds)
    assert woken == [(10, 10), (20, 20), (30, 30)]


async def test_time_limits_fire() -> None:
    """A scope's deadline is reached in virtual time."""
    with anyio.move_on_after(3_600.0) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
