"""A broker that freezes, forgets or floods; and what crosses to the I/O thread in one go."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from actorq.embedded import EmbeddedBroker
from actorq.errors import BrokerUnavailable, DeliveryUnknown, TransportError
from actorq.model.address import Mailbox, Namespace
from actorq.model.message import ConnectionSettings, ConsumerSpec, Failed, Message, Publication, Stored
from actorq.ports.transport import Delivery
from actorq.testing import wait_until
from actorq.testing.suite.harness import gone
from actorq_nats import NatsTransport, connect, passing, pull
from actorq_nats.iothread import Way
from tests.transports.nats.raw import api

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

BOX = Mailbox("default", 0, "actor")
PATIENCE = 15.0


def task(prefix: str, key: str) -> Publication:
    return Publication(Namespace(prefix).task(BOX, key), key.encode())


def spec(prefix: str, lease: float = 30.0) -> ConsumerSpec:
    return ConsumerSpec(BOX.consumer, Namespace(prefix).inbox(BOX), lease)


async def store(transport: NatsTransport, *publications: Publication) -> None:
    answers = await transport.publish(publications, timeout=PATIENCE)
    assert all(isinstance(answer, Stored) for answer in answers), answers


@contextmanager
def frozen(broker: EmbeddedBroker) -> Generator[None]:
    """The broker's process exists, its sockets are open, and nothing moves."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        while Path(f"/proc/{broker.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


async def test_a_frozen_broker_is_noticed(broker: EmbeddedBroker, prefix: str) -> None:
    """In a few seconds, long before a publisher's own time-out; when it thaws, everything goes on."""
    async with connect(ConnectionSettings(broker.url, prefix)) as transport:
        consumer = await transport.consume(spec(prefix))
        consumer.grant(1)
        with frozen(broker), anyio.fail_after(8.0):
            (answer,) = await transport.publish([task(prefix, "a")], timeout=60.0)
        assert isinstance(answer, Failed)
        assert answer.unknown
        assert isinstance(answer.error, DeliveryUnknown)
        await store(transport, task(prefix, "b"))
        with anyio.fail_after(PATIENCE):
            assert len(await consumer.receive()) == 1


async def test_a_lease_ends_while_the_broker_is_frozen(broker: EmbeddedBroker, prefix: str) -> None:
    """Renewals that it cannot have read do not count, connection or not."""
    async with connect(ConnectionSettings(broker.url, prefix)) as transport:
        consumer = await transport.consume(spec(prefix, lease=1.0))
        consumer.grant(1)
        await store(transport, task(prefix, "a"))
        (delivery,) = await consumer.receive()
        lost: list[float] = []
        delivery.keep(60.0, lambda: lost.append(time.monotonic()))
        frozen_at = time.monotonic()
        with frozen(broker):
            await wait_until(lambda: lost, description="the holder hears of the loss")
        assert lost[0] - frozen_at < 1.5


async def test_a_deleted_consumer_is_made_again(settings: ConnectionSettings, prefix: str) -> None:
    """An operator removes it with pulls outstanding: the worker makes it anew and its credit stands."""
    async with connect(settings) as transport:
        consumer = await transport.consume(spec(prefix))
        consumer.grant(3)
        await store(transport, task(prefix, "a"))
        (first,) = await consumer.receive()
        first.ack()
        await gone(transport, task(prefix, "a").subject)
        await api(settings.url, f"CONSUMER.DELETE.{prefix}_tasks.{BOX.consumer}")
        await store(transport, *(task(prefix, f"k{n}") for n in range(5)))
        taken: list[Delivery] = []
        with anyio.fail_after(PATIENCE):
            while len(taken) < 2:
                taken += await consumer.receive()
        assert [delivery.message.body for delivery in taken] == [b"k0", b"k1"]
        assert await consumer.stop() == []


async def test_every_restart_is_survived(broker: EmbeddedBroker, prefix: str) -> None:
    """With pulls outstanding, five times in a row, the next message arrives within 6 s of the broker's return."""
    async with connect(ConnectionSettings(broker.url, prefix)) as transport:
        consumer = await transport.consume(spec(prefix))
        consumer.grant(10)
        for n in range(5):
            broker.kill()
            broker.start()
            with anyio.fail_after(6.0):
                await store(transport, task(prefix, f"k{n}"))
                (delivery,) = await consumer.receive()
            assert delivery.message.body == b"k%d" % n
            delivery.ack()
            # An ack that the crash swallows would be another redelivery.
            await gone(transport, task(prefix, f"k{n}").subject)


async def test_without_a_stream_nothing_is_stored(settings: ConnectionSettings, prefix: str) -> None:
    """Nobody takes the message: surely not stored, told at once, worth another try."""
    async with connect(settings) as transport:
        await api(settings.url, f"STREAM.DELETE.{prefix}_tasks")
        with anyio.fail_after(2.0):
            (answer,) = await transport.publish([task(prefix, "a")], timeout=60.0)
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, BrokerUnavailable)
        assert (answer.unknown, answer.permanent) == (False, False)


async def test_a_huge_passing_message_costs_no_connection(settings: ConnectionSettings, prefix: str) -> None:
    """The broker would close it; so it is refused here."""
    async with connect(settings) as transport:
        with pytest.raises(TransportError, match="1,048,577 bytes"):
            await transport.notify(f"{prefix}.e.x.y", bytes(transport.max_bytes + 1))
        await store(transport, task(prefix, "a"))


async def test_a_flood_of_passing_messages_is_a_gap(
    settings: ConnectionSettings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loop cannot keep up with is dropped, and the listener is told that it missed something."""
    monkeypatch.setattr(passing, "MAX_WAITING", 10)
    subject, heard, gaps = f"{prefix}.e.x.y", list[Message](), list[bool]()
    async with connect(settings) as transport, connect(settings) as other:
        await transport.subscribe(subject, heard.append, lambda: gaps.append(True))
        for _ in range(50):
            await other.notify(subject, b"flood")
        await other.get(f"{prefix}.t.x")
        _block(0.2)
        await wait_until(lambda: gaps, description="the gap is told")
        await other.notify(subject, b"after")
        await wait_until(lambda: heard[-1].body == b"after", description="it goes on")
    assert len(heard) < 51


def _block(seconds: float) -> None:
    """Let the I/O thread read while the loop does not."""
    time.sleep(seconds)


async def test_many_senders_cross_together(
    settings: ConnectionSettings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three hundred tasks that publish one message each wake the I/O thread a few times, not three hundred times."""
    rings = 0
    ring: Callable[[Way], None] = vars(Way)["_ring"]

    def counted(way: Way) -> None:
        nonlocal rings
        rings += 1
        ring(way)

    async with connect(settings) as transport:
        monkeypatch.setattr(Way, "_ring", counted)
        async with anyio.create_task_group() as group:
            for n in range(300):
                group.start_soon(_store_one, transport, task(prefix, f"k{n}"))
        assert rings < 300


async def _store_one(transport: NatsTransport, publication: Publication) -> Any:
    await store(transport, publication)


async def test_a_cancelled_publisher_harms_nobody(settings: ConnectionSettings, prefix: str) -> None:
    """Whoever gives up waiting may have stored something; the others get their answers."""
    async with connect(settings) as transport:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await transport.publish([task(prefix, f"k{n}") for n in range(10)], timeout=PATIENCE)
        assert scope.cancelled_caught
        await store(transport, task(prefix, "a"))


async def test_waiting_outlives_a_pull(
    settings: ConnectionSettings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle consumer's requests expire and are made again, on a real broker, and the credit stays what it was."""
    monkeypatch.setattr(pull, "EXPIRY", 0.3)
    monkeypatch.setattr(pull, "HEARTBEAT", 0.1)
    async with connect(settings) as transport:
        consumer = await transport.consume(spec(prefix))
        consumer.grant(3)
        clock = await transport.consume(ConsumerSpec("clock", f"{prefix}.t.default.0.clock.*", 1.0))
        clock.grant(9)
        await store(transport, Publication(f"{prefix}.t.default.0.clock.tick", b""))
        for count in (1, 2):
            (tick,) = await clock.receive()
            assert tick.deliveries == count
            tick.release()
        await store(transport, *(task(prefix, f"k{n}") for n in range(5)))
        taken: list[Delivery] = []
        with anyio.fail_after(PATIENCE):
            while len(taken) < 3:
                taken += await consumer.receive()
        assert [delivery.message.body for delivery in taken] == [b"k0", b"k1", b"k2"]
        assert await consumer.stop() == []


async def test_another_workers_lease_is_taken_over(
    settings: ConnectionSettings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that runs already renews as the newer configuration demands."""
    monkeypatch.setattr(pull, "REFRESH", 0.1)
    async with connect(settings) as transport, connect(settings) as other:
        consumer = await transport.consume(spec(prefix))
        consumer.grant(1)
        await other.consume(spec(prefix, lease=7.0))
        await wait_until(lambda: consumer.lease == 7.0, description="the new lease is known")


async def test_a_stop_that_is_given_up_holds_nothing(settings: ConnectionSettings, prefix: str) -> None:
    """What has arrived and is not received by anybody is left to its lease."""
    async with connect(settings) as transport, connect(settings) as other:
        consumer = await transport.consume(spec(prefix, lease=1.0))
        consumer.grant(1)
        await store(transport, task(prefix, "a"))
        await delivered(settings, prefix)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await consumer.stop()
        follower = await other.consume(spec(prefix, lease=1.0))
        follower.grant(1)
        with anyio.fail_after(PATIENCE):
            (again,) = await follower.receive()
        assert again.deliveries == 2


async def delivered(settings: ConnectionSettings, prefix: str) -> None:
    """Wait until a message has been delivered to somebody."""

    async def is_out() -> bool:
        info = await api(settings.url, f"CONSUMER.INFO.{prefix}_tasks.{BOX.consumer}")
        return bool(info["num_ack_pending"])

    await wait_until(is_out, description="it is delivered")
