"""The JetStream driver passes the suite on a real broker, crashes of the broker included."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from anyio.to_thread import run_sync

from actorq.embedded import EmbeddedBroker
from actorq.model.message import ConnectionSettings
from actorq.plugins import open_transport
from actorq.ports.transport import Transport
from actorq.testing.suite import RestartSuite, TransportSuite
from actorq_nats import NatsTransport

pytestmark = pytest.mark.broker


class NatsHarness:
    lease = 1.0

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    def settings(self) -> ConnectionSettings:
        return ConnectionSettings(self._broker.url, f"aq-{uuid4().hex}")

    def connect(self, settings: ConnectionSettings) -> Transport:
        return open_transport(settings)

    async def lose(self, transport: Transport) -> None:
        assert isinstance(transport, NatsTransport)
        await transport.cut()

    @asynccontextmanager
    async def outage(self) -> AsyncGenerator[None]:
        await run_sync(self._broker.kill)
        try:
            yield
        finally:
            await run_sync(self._broker.start)


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


class TestNats(TransportSuite):
    @pytest.fixture
    def harness(self, shared: EmbeddedBroker) -> NatsHarness:
        return NatsHarness(shared)


class TestNatsAcrossCrashes(RestartSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[NatsHarness]:
        with EmbeddedBroker(tmp_path) as broker:
            yield NatsHarness(broker)
