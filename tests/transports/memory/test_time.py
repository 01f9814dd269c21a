"""The broker's time: virtual where a loop's is, and going on from loop to loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import uuid4

import anyio
import pytest

from actorq.model.message import ConnectionSettings, ConsumerSpec, Publication, Schedule, StreamSettings
from actorq.testing import virtual_time
from actorq_memory import MemoryTransport, connect, forget

INBOX = "aq-test.t.default.0.actor"
HOLDER = "aq-test.s.default.0.actor.a"
HOUR, DAY = 3_600.0, 86_400.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    backend: Literal["asyncio", "trio"] = request.param
    return virtual_time(backend)


@pytest.fixture
def settings() -> Iterator[ConnectionSettings]:
    url = f"memory:{uuid4().hex}"
    yield ConnectionSettings(url, "aq-test", streams=StreamSettings(result_ttl=HOUR, duplicate_window=120.0))
    forget(url)


def spec(lease: float = 30.0, *, idle: float = DAY) -> ConsumerSpec:
    return ConsumerSpec("c", f"{INBOX}.*", lease, idle=idle)


async def store(transport: MemoryTransport, *publications: Publication) -> None:
    await transport.publish(publications, timeout=5.0)


@pytest.mark.anyio
async def test_a_lease_runs_out_to_the_second(settings: ConnectionSettings) -> None:
    """A lost holder's message is delivered again when its lease is over, and not before."""
    async with connect(settings) as transport:
        await store(transport, Publication(f"{INBOX}.a", b""))
        async with connect(settings) as holder:
            consumer = await holder.consume(spec(30.0))
            consumer.grant(1)
            await consumer.receive()
            await anyio.sleep(HOUR)
        left, follower = transport.now(), await transport.consume(spec(30.0))
        follower.grant(1)
        (again,) = await follower.receive()
        assert again.deliveries == 2
        assert transport.now() - left == pytest.approx(30.0, abs=0.01)


@pytest.mark.anyio
async def test_the_time_of_a_held_message_with_a_limit(settings: ConnectionSettings) -> None:
    """At its limit renewal ends; one lease later the holder is told and the message is free."""
    async with connect(settings) as transport:
        await store(transport, Publication(f"{INBOX}.a", b""))
        consumer = await transport.consume(spec(30.0))
        consumer.grant(2)
        (delivery,) = await consumer.receive()
        kept, told = transport.now(), anyio.Event()
        delivery.keep(HOUR, told.set)
        await told.wait()
        assert transport.now() - kept == pytest.approx(HOUR + 30.0, abs=0.01)


@pytest.mark.anyio
async def test_schedules_fire_to_the_second(settings: ConnectionSettings) -> None:
    """A delay of a day and a tick each minute."""
    async with connect(settings) as transport:
        start = transport.now()
        day = Schedule(f"{INBOX}.day", at=start + DAY)
        tick = Schedule(f"{INBOX}.tick", every=60.0)
        await store(transport, Publication(HOLDER, b"", schedule=day))
        consumer = await transport.consume(spec())
        consumer.grant(10_000)
        (first,) = await consumer.receive()
        assert first.message.at - start == pytest.approx(DAY, abs=0.01)
        await store(transport, Publication(HOLDER, b"", schedule=tick))
        times: list[float] = []
        while len(times) < 60:
            times += [delivery.message.at for delivery in await consumer.receive()]
        assert times[-1] - first.message.at == pytest.approx(HOUR, abs=0.1)


@pytest.mark.anyio
async def test_results_and_msg_ids_age(settings: ConnectionSettings) -> None:
    """A result without a ttl stays for the store's; an id is forgotten after the window."""
    record = Publication("aq-test.r.origin.a", b"", msg_id="one")
    async with connect(settings) as transport:
        await store(transport, record)
        await anyio.sleep(119.0)
        (answer,) = await transport.publish([record], timeout=5.0)
        assert getattr(answer, "duplicate", None) is True
        await anyio.sleep(2.0)
        (answer,) = await transport.publish([record], timeout=5.0)
        assert getattr(answer, "duplicate", None) is False
        await anyio.sleep(HOUR - 1.0)
        assert await transport.get(record.subject) is not None
        await anyio.sleep(2.0)
        assert await transport.get(record.subject) is None


@pytest.mark.anyio
async def test_a_consumer_that_nobody_uses_is_removed(settings: ConnectionSettings) -> None:
    """After its idle time the name is free for another filter; its messages stay; use starts the time anew."""
    async with connect(settings) as transport:
        await store(transport, Publication(f"{INBOX}.a", b""))
        for _ in range(3):
            consumer = await transport.consume(spec(idle=HOUR))
            await anyio.sleep(2 * HOUR)
            await consumer.stop()
            await anyio.sleep(HOUR / 2)
        await anyio.sleep(HOUR)
        other = await transport.consume(ConsumerSpec("other", f"{INBOX}.*", 30.0))
        other.grant(1)
        assert len(await other.receive()) == 1


@pytest.mark.anyio
async def test_time_goes_on_without_a_connection(settings: ConnectionSettings) -> None:
    """What becomes due while nobody is connected is done when somebody is."""
    async with connect(settings) as transport:
        await store(transport, Publication("aq-test.r.origin.a", b"", ttl=HOUR))
    await anyio.sleep(HOUR / 2)
    async with connect(settings) as transport:
        assert await transport.get("aq-test.r.origin.a") is not None
    await anyio.sleep(HOUR)
    async with connect(settings) as transport:
        assert await transport.get("aq-test.r.origin.a") is None


def test_time_goes_on_from_loop_to_loop(settings: ConnectionSettings) -> None:
    """A loop that comes later, on real or virtual time, starts no earlier than the broker's time, and moves it on."""

    async def sleep(seconds: float) -> float:
        async with connect(settings) as transport:
            await anyio.sleep(seconds)
            return transport.now()

    times = [time.time()]
    for backend, options in (virtual_time("trio"), virtual_time("asyncio")):
        times.append(anyio.run(sleep, HOUR, backend=backend, backend_options=dict(options)))
        assert times[-1] - times[-2] == pytest.approx(HOUR, abs=10.0)
    times.append(anyio.run(sleep, 0.01))
    assert 0.01 <= times[-1] - times[-2] < 10.0
