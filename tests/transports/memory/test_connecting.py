"""Connections: which broker a URL names, how long it lives, and what a connection does when it is not open."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import anyio
import pytest

from actorq.errors import BrokerUnavailable, ConfigError
from actorq.model.message import ConnectionSettings, ConsumerSpec, Failed, Message, Publication
from actorq_memory import MemoryTransport, connect, forget

pytestmark = pytest.mark.anyio

SUBJECT = "aq-test.t.default.0.actor.a"


def settings(url: str, prefix: str = "aq-test") -> ConnectionSettings:
    return ConnectionSettings(url, prefix)


async def store(url: str, prefix: str = "aq-test") -> None:
    async with connect(settings(url, prefix)) as transport:
        await transport.publish([Publication(SUBJECT.replace("aq-test", prefix), b"a")], timeout=5.0)


async def found(url: str, prefix: str = "aq-test") -> Message | None:
    async with connect(settings(url, prefix)) as transport:
        return await transport.get(SUBJECT.replace("aq-test", prefix))


@pytest.fixture
def url() -> Iterator[str]:
    url = f"memory:{uuid4().hex}"
    yield url
    forget(url)


async def test_a_broker_outlives_its_connections(url: str) -> None:
    """What one connection stored, a later one finds."""
    await store(url)
    assert await found(url) is not None


async def test_brokers_are_told_apart_by_name_and_namespace(url: str) -> None:
    """Another name or another namespace is another broker; no name is a broker, too."""
    await store(url)
    assert await found(url, "aq-other") is None
    prefix = f"aq-{uuid4().hex}"
    assert await found("memory:", prefix) is None
    await store("memory:", prefix)
    assert await found("memory:", prefix) is not None
    assert await found(url, prefix) is None
    forget("memory:")
    assert await found(url) is not None


async def test_a_forgotten_broker_is_empty(url: str) -> None:
    """After ``forget`` the name means a new broker; a connection that is open goes on with the old one."""
    await store(url)
    async with connect(settings(url)) as transport:
        forget(url)
        assert await transport.get(SUBJECT) is not None
        assert await found(url) is None


@pytest.mark.parametrize("url", ["memory://host", "memory:a b", "memory:a.b", "memory:a/b"])
async def test_a_name_is_a_token(url: str) -> None:
    """A URL with anything but a name after the colon is refused with an example."""
    with pytest.raises(ConfigError, match="for example memory:"):
        connect(settings(url))


async def test_a_connection_opens_once(url: str) -> None:
    """A closed connection is not opened again."""
    transport = connect(settings(url))
    async with transport:
        pass
    with pytest.raises(BrokerUnavailable, match="make a new one"):
        async with transport:
            pass


async def check_closed(transport: MemoryTransport) -> None:
    (answer,) = await transport.publish([Publication(SUBJECT, b"")], timeout=5.0)
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, BrokerUnavailable)
    assert answer.permanent
    for call in (transport.get, transport.scan):
        with pytest.raises(BrokerUnavailable, match="use it in `async with`"):
            await call(SUBJECT)
    assert transport.now() > 0


async def test_a_connection_that_is_not_open_says_so(url: str) -> None:
    """Before and after its block every call fails with an error that says what to do."""
    transport = connect(settings(url))
    await check_closed(transport)
    async with transport:
        pass
    await check_closed(transport)


async def test_an_error_in_the_block_passes_as_it_is(url: str) -> None:
    """What the block raises is not wrapped into a group."""
    with pytest.raises(ZeroDivisionError):
        async with connect(settings(url)):
            raise ZeroDivisionError


async def test_a_cancelled_block_closes_the_connection(url: str) -> None:
    """Cancellation passes through; what was held is given to others after its lease."""
    spec = ConsumerSpec("c", "aq-test.t.default.0.actor.*", 0.05)
    await store(url)
    transport = connect(settings(url))
    with anyio.CancelScope() as scope:
        async with transport:
            consumer = await transport.consume(spec)
            consumer.grant(1)
            await consumer.receive()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    async with connect(settings(url)) as other:
        consumer = await other.consume(spec)
        consumer.grant(1)
        (again,) = await consumer.receive()
        assert again.deliveries == 2


def test_a_loop_that_ends_around_a_connection_loses_its_leases(url: str) -> None:
    """Where the event loop is torn down without closing, the holder counts as lost."""
    spec = ConsumerSpec("c", "aq-test.t.default.0.actor.*", 0.05)

    async def leave_open() -> None:
        await store(url)
        transport: MemoryTransport = await connect(settings(url)).__aenter__()
        consumer = await transport.consume(spec)
        consumer.grant(1)
        await consumer.receive()
        raise KeyboardInterrupt

    async def take() -> int:
        async with connect(settings(url)) as transport:
            consumer = await transport.consume(spec)
            consumer.grant(1)
            (again,) = await consumer.receive()
            return again.deliveries

    with pytest.raises(KeyboardInterrupt):
        anyio.run(leave_open)
    assert anyio.run(take) == 2


async def test_a_connection_is_tied_to_no_task(url: str) -> None:
    """It is opened in one task and closed in another, while the first goes on."""
    transport, opened, done = connect(settings(url)), anyio.Event(), anyio.Event()

    async def open_it() -> None:
        await transport.__aenter__()
        opened.set()
        await done.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(open_it)
        await opened.wait()
        await transport.__aexit__(None, None, None)
        done.set()
    await check_closed(transport)


async def test_cancelled_surroundings_do_not_cut_it(url: str) -> None:
    """Whoever is shielded within a cancelled scope goes on with the connection, its leases and its due times."""
    spec = ConsumerSpec("c", "aq-test.t.default.0.actor.*", 0.05)
    await store(url)
    with anyio.CancelScope() as scope:
        async with connect(settings(url)) as transport:
            scope.cancel()
            with anyio.CancelScope(shield=True), anyio.fail_after(5.0):
                consumer = await transport.consume(spec)
                consumer.grant(2)
                (first,) = await consumer.receive()
                first.release()
                (again,) = await consumer.receive()
                assert again.deliveries == 2
    assert await found(url) is not None
