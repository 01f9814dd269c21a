"""What the worker processes of the fault tests run. Every process keeps an append-only log of what it did."""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio

from actorq import ActorSystem, Context

system = ActorSystem(os.environ["ACTORQ_TEST_SYSTEM"])
_LOG = os.open(Path(os.environ["ACTORQ_TEST_LOGS"]) / f"{os.getpid()}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(what: str, task: str) -> None:
    """One line, at once and whole, also if the process is killed in the next moment."""
    os.write(_LOG, f"{what} {task}\n".encode())


@system.actor(concurrency=16)
async def work(ctx: Context, seconds: float) -> int:
    note("start", ctx.id)
    await anyio.sleep(seconds)
    note("end", ctx.id)
    return os.getpid()


@system.actor(concurrency=50)
async def wait(ctx: Context, seconds: float) -> int:
    note("start", ctx.id)
    await anyio.sleep(seconds)
    note("end", ctx.id)
    return os.getpid()


@system.actor
def wait_in_thread(ctx: Context, seconds: float) -> int:
    note("start", ctx.id)
    time.sleep(seconds)
    note("end", ctx.id)
    return os.getpid()


@system.actor
async def block_the_loop(ctx: Context, seconds: float) -> int:
    note("start", ctx.id)
    time.sleep(seconds)  # noqa: ASYNC251  that is the point
    note("end", ctx.id)
    return os.getpid()


@system.actor(threads=2)
def stuck(seconds: float) -> None:
    time.sleep(seconds)
