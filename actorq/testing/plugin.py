"""The pytest plugin: fixtures for programs that use actorq.

Loaded with every pytest run where actorq is installed, so it imports next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from uuid import uuid4

import pytest

from actorq.errors import ConfigError

# Before anybody imports it: the suite's assertions shall explain themselves in other projects, too.
pytest.register_assert_rewrite("actorq.testing.suite")


@pytest.fixture
def actorq_name() -> str:
    """A name for an ActorSystem that no other test has: a namespace of its own on a broker that tests share."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def actorq_memory() -> Iterator[str]:
    """The URL of an in-process broker of this test's own, for ``ActorSystem(..., transport=actorq_memory)``."""
    url = f"memory:{uuid4().hex}"
    yield url
    import_module("actorq_memory").forget(url)


@pytest.fixture
def actorq_nats(_actorq_broker: str) -> str:
    """The URL of a real broker on loopback, one for the whole session; keep tests apart by ``actorq_name``.

    Without a nats-server binary the test is skipped, or fails where CI is set.
    """
    return _actorq_broker


@pytest.fixture(scope="session")
def _actorq_broker() -> Iterator[str]:
    from actorq.embedded import EmbeddedBroker, find_server  # noqa: PLC0415  not in every pytest run

    try:
        find_server()
    except ConfigError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with EmbeddedBroker() as broker:
        yield broker.url
