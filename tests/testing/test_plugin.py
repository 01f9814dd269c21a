"""The plugin's fixtures, as a program's own tests use them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actorq.model.message import ConnectionSettings, Publication
from actorq.plugins import open_transport
from actorq.ports.transport import Transport


def connect(url: str, name: str) -> Transport:
    return open_transport(ConnectionSettings(url, f"aq-{name}"))


@pytest.mark.anyio
async def test_the_memory_broker_outlives_a_connection(actorq_memory: str, actorq_name: str) -> None:
    """Two connections of one test meet at the same broker."""
    subject = f"aq-{actorq_name}.t.default.0.actor.a"
    async with connect(actorq_memory, actorq_name) as first:
        await first.publish([Publication(subject, b"a")], timeout=5.0)
    async with connect(actorq_memory, actorq_name) as second:
        assert await second.get(subject) is not None


@pytest.fixture
def names(actorq_name: str) -> list[str]:
    return [actorq_name]


def test_a_name_is_the_same_within_a_test(actorq_name: str, names: list[str]) -> None:
    """All who ask for it in one test get one name."""
    assert names == [actorq_name]


@pytest.mark.broker
def test_the_real_broker_has_a_url(actorq_nats: str) -> None:
    """The session's broker is on loopback."""
    assert actorq_nats.startswith("nats://127.0.0.1:")


def test_the_plugin_itself_imports_nothing_heavy() -> None:
    """What comes on top of the package: no event loop, no driver, no suite."""
    code = (
        "import sys, pytest, actorq; before = set(sys.modules); import actorq.testing.plugin; "
        "new = {name for name in set(sys.modules) - before if not name.startswith(('actorq.testing', '_pytest'))}; "
        "assert not new, new; assert 'actorq.testing.suite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
