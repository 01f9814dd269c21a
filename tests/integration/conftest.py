"""Real brokers and real worker processes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorq import ActorSystem
from actorq.embedded import EmbeddedBroker
from tests.integration.processes import Lab, all_ended


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker for this test alone, which it may kill."""
    with EmbeddedBroker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def lab(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Lab]:
    with all_ended(Lab(f"lab-{uuid.uuid4().hex[:8]}", broker.url, tmp_path)) as lab:
        yield lab


@pytest.fixture
def system(lab: Lab) -> ActorSystem:
    """The client's view: no actors, everything by name."""
    return ActorSystem(lab.name, transport=lab.url)
