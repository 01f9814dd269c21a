"""What the bench's workers run."""

from __future__ import annotations

import anyio

from actorq.system import ActorSystem

system: ActorSystem = ActorSystem("bench")


@system.actor(concurrency=100)
async def nothing(number: int) -> int:
    """Give back a small value."""
    return number


@system.actor(concurrency=100)
async def nap(seconds: float) -> None:
    """Wait."""
    await anyio.sleep(seconds)


@system.actor(concurrency=100, threads=8)
def threaded(number: int) -> int:
    """Give back a small value, from a thread."""
    return number


@system.actor(rate_limit="1/s")
async def limited(number: int) -> None:
    """Do nothing, once a second."""
