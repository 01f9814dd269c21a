"""The readable contract, run on every driver and event loop."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from actorq import ActorSystem

MakeSystem = Callable[..., ActorSystem]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.broker)])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"actorq_{request.param}"))


@pytest.fixture
def make_system(url: str) -> MakeSystem:
    """Systems of one name over one broker: several programs that know one another by name only."""
    name = f"spec-{uuid.uuid4().hex[:12]}"

    def make(**settings: Any) -> ActorSystem:
        return ActorSystem(name, transport=url, **settings)

    return make


@pytest.fixture
def system(make_system: MakeSystem) -> ActorSystem:
    return make_system()
