"""A program whose actors break on demand: files in its folder say what happens. Each life of one is a line in a log."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from actorq import ActorSystem, Background, Context, Retry
from tests.integration.tasks import note

FOLDER = Path(os.environ["ACTORQ_TEST_LOGS"])
system = ActorSystem(os.environ["ACTORQ_TEST_SYSTEM"])


def declare(name: str) -> None:
    """An actor that fails when a file ``break-NAME`` appears, and cannot start while there is one ``no-NAME``."""

    class Thing:
        async def setup(self, background: Background) -> None:
            if (FOLDER / f"no-{name}").exists():
                raise ConnectionRefusedError(f"the resource of {name} is away")
            note("up", name)
            background.start_soon(self._watch)

        async def teardown(self) -> None:
            note("down", name)

        async def _watch(self) -> None:
            trigger = FOLDER / f"break-{name}"
            while not trigger.exists():
                await anyio.sleep(0.02)
            trigger.unlink()
            raise ConnectionResetError(f"{name} broke")

        async def work(self, ctx: Context, seconds: float) -> int:
            note("start", ctx.id)
            await anyio.sleep(seconds)
            note("end", ctx.id)
            return os.getpid()

    system.actor(name=name)(Thing)


for each in ("a", "b", "c"):
    declare(each)


@system.actor(retry=Retry(max_attempts=3, initial="200ms", factor=2, jitter=False))
async def fragile(ctx: Context) -> str:
    note("start", ctx.id)
    if not (FOLDER / "mended").exists():
        raise LookupError("not mended yet")
    return f"attempt {ctx.attempt} of generation {ctx.generation}"


@system.actor(rate_limit="1000/s", concurrency=4)
async def steady(ctx: Context, seconds: float) -> int:
    note("start", ctx.id)
    await anyio.sleep(seconds)
    note("end", ctx.id)
    return os.getpid()
