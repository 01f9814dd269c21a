"""Opening and closing a connection: whom it blames when it cannot, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio.to_thread import run_sync

from actorq.embedded import EmbeddedBroker
from actorq.errors import BrokerUnavailable, ConfigError, PermissionDenied
from actorq.model.address import Mailbox, Namespace
from actorq.model.message import ConnectionSettings, ConsumerSpec, Publication, Stored
from actorq.testing import wait_until
from actorq_nats import NatsTransport, connect, setup
from tests.transports.nats.conftest import Start

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

SECRET = "s3cret"
USERS = 'authorization { users = [ { user: "me", password: "right" } ] }'


def io_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("actorq nats")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert io_threads() == []


async def test_nobody_listens(prefix: str) -> None:
    """The error names the server, comes within the time given, and tells no secret."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"nats://me:{SECRET}@127.0.0.1:{port}"
    settings = ConnectionSettings(url, prefix, connect_timeout=0.6)
    with anyio.fail_after(5), pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port}") as raised:
        async with connect(settings):
            pass
    assert SECRET not in str(raised.value)


async def test_a_server_that_says_nothing(prefix: str) -> None:
    """Something that is no broker does not make it hang."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"nats://127.0.0.1:{server.getsockname()[1]}"
        with anyio.fail_after(5), pytest.raises(BrokerUnavailable, match="no answer"):
            async with connect(ConnectionSettings(url, prefix, connect_timeout=0.6)):
                pass


async def test_it_waits_for_a_broker_that_is_starting(broker: EmbeddedBroker, prefix: str) -> None:
    """Within ``connect_timeout`` it tries again: programs and brokers start in any order."""
    settings = ConnectionSettings(broker.url, prefix, connect_timeout=10.0)
    broker.stop()
    async with anyio.create_task_group() as group:
        opened = connect(settings)
        group.start_soon(_open_and_close, opened)
        await wait_until(lambda: io_threads() != [], description="it is trying")
        broker.start()


async def _open_and_close(transport: NatsTransport) -> None:
    async with transport:
        assert transport.max_bytes == 1_048_576


async def test_wrong_credentials(start: Start, prefix: str) -> None:
    """At once, as PermissionDenied, with the user's name and without the password."""
    url = start(USERS).url
    settings = ConnectionSettings(url, prefix, user="me", password=SECRET)
    with anyio.fail_after(5), pytest.raises(PermissionDenied, match="user 'me'") as raised:
        async with connect(settings):
            pass
    assert SECRET not in str(raised.value)
    with anyio.fail_after(5), pytest.raises(PermissionDenied, match="without credentials"):
        async with connect(ConnectionSettings(url, prefix)):
            pass


async def test_right_credentials(start: Start, prefix: str) -> None:
    """From the settings or from the URL."""
    broker = start(USERS)
    await _open_and_close(connect(ConnectionSettings(broker.url, prefix, user="me", password="right")))
    await _open_and_close(connect(ConnectionSettings(broker.url.replace("//", "//me:right@"), prefix)))


async def test_jetstream_is_needed(start: Start, prefix: str) -> None:
    """A broker without it is named as the problem, as is an account without it."""
    account = start("accounts { A { users = [ { user: a, password: a } ] } }\nno_auth_user: a")
    with anyio.fail_after(5), pytest.raises(ConfigError, match="JetStream not enabled for account"):
        async with connect(ConnectionSettings(account.url, prefix)):
            pass


async def test_a_server_without_jetstream(start: Start, prefix: str) -> None:
    """Nobody answers, and the server itself says that it has none."""
    url = start("jetstream: disabled").url
    with anyio.fail_after(5), pytest.raises(ConfigError, match="JetStream is not enabled on the broker"):
        async with connect(ConnectionSettings(url, prefix)):
            pass


async def test_old_servers(settings: ConnectionSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version found and the version needed are named."""
    monkeypatch.setattr(setup, "MIN_SERVER", (99, 1, 0))
    with pytest.raises(ConfigError, match=r"nats-server 2\.[0-9.]+ is too old: actorq needs 99\.1\.0"):
        async with connect(settings):
            pass


@asynccontextmanager
async def _fake_server(info: bytes, heard: list[bytes]) -> AsyncGenerator[int]:
    """Says ``info`` to whoever comes and keeps what it is told."""

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    client.sendall(info)
                    while data := client.recv(4_096):
                        heard.append(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            await run_sync(thread.join)


async def test_no_password_is_sent_without_tls(prefix: str) -> None:
    """With ``tls://`` a server (or somebody in between) that offers none gets no credentials."""
    heard: list[bytes] = []
    async with _fake_server(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n', heard) as port:
        url = f"tls://me:{SECRET}@127.0.0.1:{port}"
        with anyio.fail_after(10), pytest.raises(ConfigError, match="does not offer TLS"):
            async with connect(ConnectionSettings(url, prefix)):
                pass
    assert heard == []


async def test_a_connection_is_named(broker: EmbeddedBroker, prefix: str) -> None:
    """Not open yet, open twice, closed: each is told by the connection's name."""
    transport = connect(ConnectionSettings(broker.url, prefix, name="me"))
    with pytest.raises(BrokerUnavailable, match="'me' is not open"):
        await transport.get(f"{prefix}.t.x")
    async with transport:
        with pytest.raises(BrokerUnavailable, match="'me' is open already"):
            await transport.__aenter__()
    with pytest.raises(BrokerUnavailable, match="'me' is not open"):
        await transport.publish([], timeout=1.0)
    async with transport:
        assert await transport.get(f"{prefix}.t.x") is None


async def test_a_cancelled_opening_leaves_no_thread(prefix: str) -> None:
    """Whoever gives up connecting has nothing to close."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"nats://127.0.0.1:{server.getsockname()[1]}"
        with anyio.move_on_after(0.2) as scope:
            await connect(ConnectionSettings(url, prefix)).__aenter__()
    assert scope.cancelled_caught


async def test_a_cancelled_block_leaves_no_thread(settings: ConnectionSettings, prefix: str) -> None:
    """Leaving by cancellation still sends the queued acks and ends the thread."""
    box, names = Mailbox("default", 0, "actor"), Namespace(prefix)
    with anyio.CancelScope() as scope:
        async with connect(settings) as transport:
            consumer = await transport.consume(ConsumerSpec(box.consumer, names.inbox(box), 60.0))
            consumer.grant(1)
            (answer,) = await transport.publish([Publication(names.task(box, "a"), b"")], timeout=5.0)
            assert isinstance(answer, Stored)
            (delivery,) = await consumer.receive()
            delivery.ack()
            scope.cancel()
            await anyio.sleep_forever()
    assert io_threads() == []
    async with connect(settings) as transport:
        assert await transport.get(names.task(box, "a")) is None


async def test_closing_without_a_broker_is_quick(broker: EmbeddedBroker, prefix: str) -> None:
    """There is nobody to wait for."""
    with anyio.fail_after(4):
        async with connect(ConnectionSettings(broker.url, prefix)) as transport:
            subject = f"{prefix}.t.default.0.actor.a"
            assert isinstance((await transport.publish([Publication(subject, b"")], timeout=5.0))[0], Stored)
            broker.kill()


def test_a_loop_that_vanishes_takes_its_connection_along(actorq_nats: str, prefix: str) -> None:
    """Where the event loop ends without leaving the block, what it held is not renewed for ever."""
    box, names = Mailbox("default", 0, "actor"), Namespace(prefix)

    async def hold() -> None:
        transport = await connect(ConnectionSettings(actorq_nats, prefix)).__aenter__()
        consumer = await transport.consume(ConsumerSpec(box.consumer, names.inbox(box), 1.0))
        consumer.grant(1)
        await transport.publish([Publication(names.task(box, "a"), b"")], timeout=5.0)
        await consumer.receive()

    async def again() -> None:
        async with connect(ConnectionSettings(actorq_nats, prefix)) as transport:
            consumer = await transport.consume(ConsumerSpec(box.consumer, names.inbox(box), 1.0))
            consumer.grant(1)
            with anyio.fail_after(10):
                (delivery,) = await consumer.receive()
            assert delivery.deliveries == 2
            await wait_until(lambda: len(io_threads()) == 1, description="the other thread has ended")

    asyncio.run(hold())
    asyncio.run(again())
