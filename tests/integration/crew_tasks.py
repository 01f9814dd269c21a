"""What worker processes with a parent run: the same as all others, and what makes them grow, or die again and again."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from actorq import Context, Retry
from tests.integration.tasks import note, system

GROWN: list[bytearray] = []


@system.actor
async def grow(ctx: Context, mib: int) -> int:
    note("start", ctx.id)
    GROWN.append(bytearray(os.urandom(1024)) * 1024 * mib)
    note("end", ctx.id)
    return os.getpid()


@system.actor(retry=Retry(max_attempts=1, restart_on=(ConnectionError,)))
async def break_down() -> None:
    raise ConnectionError("the pool is broken")


@asynccontextmanager
async def lifespan() -> AsyncGenerator[None]:
    """What the file ``trouble`` says, if there is one: to fail, to die, or to wait until it is away."""
    trouble = Path(os.environ["ACTORQ_TEST_LOGS"]) / "trouble"
    what = trouble.read_text() if trouble.exists() else ""
    if what == "die":
        os._exit(3)
    while what == "wait" and trouble.exists():
        await anyio.sleep(0.02)
    if what not in ("", "wait"):
        raise ConnectionError(what)
    yield


system.lifespan = lifespan
