"""The broker's own API without the driver, for tests that prepare or spoil what the driver finds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from nats.aio.client import Client


async def api(url: str, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer of ``$JS.API.{subject}``."""
    return await run_sync(partial(asyncio.run, _ask(url, f"$JS.API.{subject}", body)))


async def _ask(url: str, subject: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    client = Client()
    await client.connect(url)
    try:
        answer = await client.request(subject, b"" if body is None else json.dumps(body).encode(), timeout=5.0)
    finally:
        await client.close()
    found: dict[str, Any] = json.loads(answer.data)
    assert "error" not in found, found
    return found


async def stream(url: str, name: str) -> dict[str, Any]:
    """How a stream is configured."""
    found: dict[str, Any] = (await api(url, f"STREAM.INFO.{name}"))["config"]
    return found
