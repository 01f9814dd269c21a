"""The client's patience is measured on any clock without spinning."""

from __future__ import annotations

import logging
import uuid
from typing import Any, Literal

import anyio
import pytest

from actorq import ActorSystem
from actorq.testing.clock import virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Any]:
    backend: Literal["asyncio", "trio"] = request.param
    return virtual_time(backend)


@pytest.mark.parametrize("begin", [0.1, 0.3, 1 / 3, 0.7, 1e-9, 12.345678901])
async def test_a_waiter_says_once_why_nothing_happens(begin: float, caplog: pytest.LogCaptureFixture) -> None:
    """E-7: after 10 s, whatever moment on the clock it began at; then it goes on waiting, and its time passes."""
    caplog.set_level(logging.INFO, "actorq.client")
    async with ActorSystem("notice", transport=f"memory:{uuid.uuid4().hex}") as system:
        await anyio.sleep(begin)
        handle = await system.send("nobody")
        with anyio.move_on_after(100):
            await handle
    assert sum("no running worker serves" in record.getMessage() for record in caplog.records) == 1
