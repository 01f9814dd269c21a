"""The broker's own API, for tests that prepare or spoil what the driver finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from actorq.model.message import ConnectionSettings
from actorq_nats import NatsTransport, connect


def bare(settings: ConnectionSettings) -> NatsTransport:
    """A connection that neither makes streams nor looks at them."""
    return connect(replace(settings, streams=replace(settings.streams, manage="none")))


async def api(transport: NatsTransport, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer of ``$JS.API.{subject}``."""
    session = transport._session
    assert session is not None
    return await transport._call(lambda: session.requests.json(subject, body))


async def stream(transport: NatsTransport, name: str) -> dict[str, Any]:
    """How a stream is configured."""
    found: dict[str, Any] = (await api(transport, f"STREAM.INFO.{name}"))["config"]
    return found
