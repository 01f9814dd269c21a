"""wait_until."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import anyio
import pytest

from actorq.testing import virtual_time, wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    backend: Literal["asyncio", "trio"] = request.param
    return virtual_time(backend)


async def test_it_returns_once_the_predicate_is_true() -> None:
    """A plain predicate is looked at again and again."""
    looks = iter([False, None, 0, True])
    await wait_until(lambda: next(looks), description="a true look")
    assert list(looks) == []


async def test_the_predicate_may_be_async() -> None:
    """An async predicate is awaited."""
    started = anyio.current_time()

    async def later() -> bool:
        await anyio.sleep(1.0)
        return anyio.current_time() - started > 5.0

    await wait_until(later)
    assert anyio.current_time() - started > 5.0


async def test_it_names_what_it_waited_for() -> None:
    """When the time is out, the failure says for how long and for what."""
    with pytest.raises(AssertionError, match="not so within 60 s: the moon is blue"):
        await wait_until(lambda: False, timeout=60.0, description="the moon is blue")


async def test_a_condition_that_holds_at_the_last_moment_counts() -> None:
    """The predicate is looked at once more when the time is out."""
    await wait_until(lambda: True, timeout=0.0)
