"""What the worker processes of the fault tests run. Every process keeps an append-only log of what it did."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from actorq import ActorSystem, Context, Retry

_FOLDER = Path(os.environ["ACTORQ_TEST_LOGS"])


@asynccontextmanager
async def lifespan() -> AsyncGenerator[int]:
    """Gives the process id; fails wherever the test says so, which is never in the worker itself."""
    if (_FOLDER / "no-lifespan").exists():
        raise ConnectionError("the database is away")
    yield os.getpid()


system = ActorSystem(os.environ["ACTORQ_TEST_SYSTEM"], lifespan=lifespan)
_LOG = os.open(_FOLDER / f"{os.getpid()}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


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


@system.actor(threads=2, retry=Retry(max_attempts=1))
def stuck(seconds: float) -> None:
    time.sleep(seconds)


# ---- in processes of their own


@system.actor(concurrency=8, retry=Retry(initial="50ms"))
async def poison(ctx: Context) -> None:
    note("start", ctx.id)
    os._exit(1)


@system.actor(isolation="process", retry=Retry(initial="50ms", max_attempts=2))
async def segfault(ctx: Context) -> None:
    note("start", ctx.id)
    os.kill(os.getpid(), signal.SIGSEGV)


@system.actor(isolation="process", retry=Retry(initial="50ms"))
async def dies_once(ctx: Context) -> int:
    with suppress(FileExistsError):
        (_FOLDER / ctx.id).touch(exist_ok=False)
        os._exit(1)
    return ctx.attempt


@system.actor(isolation="process", threads=1, timeout="500ms", retry=Retry(max_attempts=1))
def spin(ctx: Context, *, for_ever: bool) -> int:
    while for_ever:
        pass
    return os.getpid()


@system.actor(isolation="process", timeout="500ms", retry=Retry(max_attempts=1))
async def block(ctx: Context) -> None:
    time.sleep(600)  # noqa: ASYNC251  that is the point


@system.actor(isolation="process")
async def wait_apart(ctx: Context, seconds: float) -> tuple[int, object]:
    note("start", ctx.id)
    await anyio.sleep(seconds)
    note("end", ctx.id)
    return os.getpid(), ctx.state


@system.actor(isolation="process", concurrency=1)
async def countdown(ctx: Context, n: int) -> tuple[str, ...]:
    """Awaits itself with one slot for all: the ids of all that ran."""
    if n == 0:
        return (ctx.id,)
    child = await ctx.send("countdown", n - 1)
    return (ctx.id, *(await child))


@system.actor(isolation="process", retry=Retry(max_attempts=1))
def fail(ctx: Context, *, with_text: str) -> None:
    logging.getLogger("tests.apart").warning("about to fail with %s", with_text, extra={"with_text": with_text})
    raise LookupError(with_text, 3)


@system.actor(isolation="process")
class Apart:
    def __init__(self) -> None:
        self.opened: int | None = None

    async def setup(self) -> None:
        self.opened = os.getpid()

    def teardown(self) -> None:
        note("closed", str(self.opened))

    def pids(self) -> tuple[int | None, int]:
        return self.opened, os.getpid()


# ---- what only a process of its own shows


@system.actor(retry=Retry(max_attempts=1))
async def interrupt() -> None:
    raise KeyboardInterrupt("of the handler's own")


@system.actor(retry=Retry(max_attempts=2, initial="900ms", jitter=False))
async def fail_once(ctx: Context) -> int:
    note("start", ctx.id)
    if ctx.attempt == 1:
        raise ValueError("the first time")
    return ctx.attempt


@system.actor(isolation="process", global_concurrency=1, retry=Retry(max_attempts=1))
async def alone_apart(ctx: Context, n: int) -> int:
    return 0 if n == 0 else int(await (await ctx.send("alone_apart", n - 1)))
