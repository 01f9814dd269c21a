"""The reference driver passes the suite, on real and on virtual time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import uuid4

import pytest

from actorq.model.message import ConnectionSettings
from actorq.plugins import open_transport
from actorq.ports.transport import Transport
from actorq.testing import virtual_time
from actorq.testing.suite import TransportSuite
from actorq_memory import MemoryTransport, forget


class MemoryHarness:
    lease = 0.2
    url = "memory:conformance"

    def settings(self) -> ConnectionSettings:
        return ConnectionSettings(self.url, f"aq-{uuid4().hex}")

    def connect(self, settings: ConnectionSettings) -> Transport:
        return open_transport(settings)

    async def lose(self, transport: Transport) -> None:
        assert isinstance(transport, MemoryTransport)
        transport.cut()


class TestMemory(TransportSuite):
    @pytest.fixture
    def harness(self) -> Iterator[MemoryHarness]:
        yield MemoryHarness()
        forget(MemoryHarness.url)


class TestMemoryOnVirtualTime(TestMemory):
    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
        backend: Literal["asyncio", "trio"] = request.param
        return virtual_time(backend)
