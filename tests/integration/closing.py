"""A program that does not close in order: files in its folder say what it does instead."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from actorq import ActorSystem, Context
from tests.integration.tasks import note

FOLDER = Path(os.environ["ACTORQ_TEST_LOGS"])


def told(what: str) -> bool:
    return (FOLDER / what).exists()


@asynccontextmanager
async def lifespan() -> AsyncGenerator[None]:
    yield
    note("closing", "lifespan")
    with anyio.CancelScope(shield=True):
        while told("hold-lifespan"):
            await anyio.sleep(0.02)
    note("closed", "lifespan")


system = ActorSystem(os.environ["ACTORQ_TEST_SYSTEM"], lifespan=lifespan)


@system.actor
class Thing:
    def setup(self) -> None:
        note("setup", "thing")
        if told("hang-setup"):
            time.sleep(60)

    def teardown(self) -> None:
        note("teardown", "thing")
        if told("hang-teardown"):
            time.sleep(60)

    async def ignore_cancellation(self, ctx: Context) -> None:
        note("start", ctx.id)
        while True:
            try:
                await anyio.sleep(60)
            except BaseException:
                time.sleep(0.01)  # noqa: ASYNC251  and leaves the other processes some time
