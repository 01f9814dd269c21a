"""Supervisors at work, on virtual time and both event loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from actorq.testing import virtual_time
from tests.supervision.stage import Stage


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    backend: Literal["asyncio", "trio"] = request.param
    return virtual_time(backend)


@pytest.fixture
def stage() -> Stage:
    return Stage()
