"""Real brokers for the JetStream driver's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from actorq.embedded import EmbeddedBroker
from actorq.model.message import ConnectionSettings

Start = Callable[[str], EmbeddedBroker]
"""Starts a broker with further lines of configuration; it is stopped after the test."""


@pytest.fixture
def prefix() -> str:
    """A namespace of this test's own."""
    return f"aq-{uuid4().hex}"


@pytest.fixture
def settings(actorq_nats: str, prefix: str) -> ConnectionSettings:
    """For the broker that all tests share."""
    return ConnectionSettings(actorq_nats, prefix, connect_timeout=5.0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of this test's own, to be stopped and killed."""
    with EmbeddedBroker(tmp_path) as broker:
        yield broker


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    brokers: list[EmbeddedBroker] = []

    def start(config: str) -> EmbeddedBroker:
        broker = EmbeddedBroker(tmp_path / f"broker{len(brokers)}", config=config)
        brokers.append(broker)
        broker.start()
        return broker

    yield start
    for broker in brokers:
        broker.close()
