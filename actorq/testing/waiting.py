"""Waiting for conditions, in place of sleeping and hoping."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable

import anyio

PAUSE = 0.01


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]], *, timeout: float = 10.0, description: str = "the condition"
) -> None:
    """Return as soon as ``predicate()`` (plain or async) is true; look every 10 ms of the event loop's time.

    ``timeout``: seconds of the event loop's time. Raises AssertionError naming ``description`` when it ran out.
    """
    deadline = anyio.current_time() + timeout
    while True:
        found = predicate()
        if isawaitable(found):
            found = await found
        if found:
            return
        if anyio.current_time() >= deadline:
            raise AssertionError(f"not so within {timeout:g} s: {description}")
        await anyio.sleep(PAUSE)
