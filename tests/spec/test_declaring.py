"""Declaring: which callables are actors, and where they run (semantics A-1, E-3)."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from actorq import ActorSystem, UsageError, Worker


async def plain(x: int) -> tuple[int, bool]:
    return x, threading.current_thread() is threading.main_thread()


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Callee:
    async def __call__(self, x: int) -> tuple[int, bool]:
        return await plain(x)

    async def method(self, x: int) -> tuple[int, bool]:
        return await plain(x)


async def of_two(y: int, x: int) -> tuple[int, bool]:
    return await plain(x + y)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "handler",
    [
        plain,
        decorated(plain),
        decorated(decorated(plain)),
        functools.partial(of_two, 0),
        functools.partial(decorated(of_two), 0),
        Callee(),
        functools.partial(Callee(), x=1),
        Callee().method,
    ],
)
async def test_whatever_is_async_within_runs_in_the_event_loop(system: ActorSystem, handler: Any) -> None:
    """Also behind a plain decorator, in a partial, or as an object's or a class's method."""
    system.actor(name="a")(handler)
    async with Worker(system):
        with anyio.fail_after(10.0):
            assert list(await system.ask("a", x=1)) == [1, True]


def counts(x: int) -> Iterator[int]:
    yield x


async def counts_async(x: int) -> AsyncIterator[int]:
    yield x


class Counts:
    def __call__(self, x: int) -> Iterator[int]:
        yield x


@pytest.mark.parametrize("handler", [counts, counts_async, functools.partial(counts, 1), Counts(), Counts().__call__])
def test_what_yields_is_no_actor(handler: Any) -> None:
    """A generator is refused where it is declared: nobody could take its values."""
    with pytest.raises(UsageError, match="'a' yields, but an actor gives one value"):
        ActorSystem("declaring", transport="memory:").actor(name="a")(handler)
