"""Consuming: who gets which message, and how many."""

from __future__ import annotations

import anyio
import pytest

from actorq.errors import ConfigError
from actorq.model.message import ConsumerSpec, Publication, Schedule
from actorq.ports.transport import Consumer, Delivery, Transport
from actorq.testing.suite.harness import (
    BOX,
    CLOCK,
    ELSEWHERE,
    LONG,
    PATIENCE,
    Place,
    SuiteFixtures,
    bodies,
    gone,
    rival,
    store,
    take,
)


async def pass_messages(transport: Transport, place: Place) -> None:
    """Return when another consumer has had messages through, so that any delivery before would have arrived."""
    consumer = await transport.consume(place.spec(CLOCK, lease=LONG))
    consumer.grant(3)
    await store(transport, *(place.task(f"tick{n}", box=CLOCK) for n in range(3)))
    for delivery in await take(consumer, 3):
        delivery.ack()
    await consumer.stop()


@pytest.mark.anyio
class CreditTests(SuiteFixtures):
    async def test_work_waits_for_its_consumer(self, place: Place, transport: Transport, other: Transport) -> None:
        """What is published before anybody consumes it is delivered when somebody does, in its order."""
        await store(transport, *(place.task(f"k{n}", b"%d" % n) for n in range(20)))
        consumer = await other.consume(place.spec())
        consumer.grant(20)
        taken = await take(consumer, 20)
        assert bodies(taken) == [b"%d" % n for n in range(20)]
        assert {delivery.deliveries for delivery in taken} == {1}

    async def test_a_delivery_is_the_message_as_stored(self, place: Place, transport: Transport) -> None:
        """Subject, body, headers, sequence and time are those of the stored message."""
        await store(transport, place.task("a", b"body", headers={"h": "1"}))
        stored = await transport.get(place.task("a").subject)
        consumer = await transport.consume(place.spec())
        consumer.grant(1)
        (delivery,) = await take(consumer, 1)
        assert stored is not None
        for field in ("subject", "body", "headers", "sequence"):
            assert getattr(delivery.message, field) == getattr(stored, field)
        assert abs(delivery.message.at - stored.at) < 0.001

    async def test_credit_is_never_exceeded(self, place: Place, transport: Transport) -> None:
        """Each delivery uses up one credit, an ack gives none back, and further credit adds up."""
        await store(transport, *(place.task(f"k{n}") for n in range(10)))
        consumer = await transport.consume(place.spec(lease=LONG))
        consumer.grant(1)
        consumer.grant(2)
        for delivery in await take(consumer, 3):
            delivery.ack()
        await pass_messages(transport, place)
        consumer.grant(4)
        await take(consumer, 4)
        await pass_messages(transport, place)
        assert await consumer.stop() == []

    async def test_a_consumer_takes_from_its_own_mailbox(self, place: Place, transport: Transport) -> None:
        """Messages of other mailboxes, and those that a schedule holds, are not delivered."""
        later = Schedule(place.task("b").subject, at=transport.now() + 3_600.0)
        await store(
            transport,
            place.task("a", b"foreign", box=ELSEWHERE),
            Publication(place.names.schedule(BOX, "b"), b"held", schedule=later),
            place.task("a", b"own"),
        )
        consumer = await transport.consume(place.spec())
        consumer.grant(2)
        assert bodies(await take(consumer, 1)) == [b"own"]
        assert await consumer.stop() == []

    async def test_stop_returns_what_arrived(self, place: Place, transport: Transport, other: Transport) -> None:
        """With credit withdrawn, every message was received, is returned by ``stop``, or is left to the others."""
        expected = [b"%d" % n for n in range(40)]
        publications = [place.task(body.decode(), body) for body in expected]
        consumer = await transport.consume(place.spec(lease=LONG))
        consumer.grant(30)
        await store(other, *publications[:1])
        received = await take(consumer, 1)
        await store(other, *publications[1:20])
        await pass_messages(transport, place)
        returned = await consumer.stop()
        assert returned
        await store(other, *publications[20:])
        follower = await rival(other, place, 40)
        left = await take(follower, 40 - len(received) - len(returned))
        assert sorted(bodies([*received, *returned, *left])) == sorted(expected)

    async def test_consumers_of_one_name_share(self, place: Place, transport: Transport, other: Transport) -> None:
        """Two workers of one mailbox get different messages, each as many as it granted."""
        first, second = await rival(transport, place, 5), await rival(other, place, 5)
        await store(transport, *(place.task(f"k{n}", b"%d" % n) for n in range(12)))
        taken = [*await take(first, 5), *await take(second, 5)]
        assert sorted(bodies(taken)) == sorted(b"%d" % n for n in range(10))
        assert [*await first.stop(), *await second.stop()] == []

    async def test_a_cancelled_receive_loses_nothing(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Whoever gives up waiting finds later what arrived meanwhile."""
        consumer = await transport.consume(place.spec(lease=LONG))
        consumer.grant(30)
        taken: list[Delivery] = []
        for n in range(30):
            await store(other, place.task(f"k{n}", b"%d" % n))
            with anyio.move_on_after(0.0001 * n):
                taken += await consumer.receive()
        taken += await take(consumer, 30 - len(taken))
        assert bodies(taken) == [b"%d" % n for n in range(30)]

    async def test_max_held_binds_over_all_workers(self, place: Place, transport: Transport, other: Transport) -> None:
        """No more than ``max_held`` are out at once, whoever holds them; an ack makes room for the next."""
        first, second = [await by.consume(place.spec(lease=LONG, max_held=2)) for by in (transport, other)]
        first.grant(1)
        await store(transport, *(place.task(f"k{n}") for n in range(6)))
        (held,) = await take(first, 1)
        second.grant(5)
        await take(second, 1)
        await pass_messages(other, place)
        held.ack()
        await take(second, 1)
        await pass_messages(other, place)
        assert await second.stop() == []

    async def test_overlapping_consumers_are_refused(self, place: Place, transport: Transport) -> None:
        """A consumer that would take another's messages is an error that names both."""
        await transport.consume(place.spec())
        wide = ConsumerSpec("wide", place.names.inbox(BOX).replace(".0.", ".*."), place.lease)
        with pytest.raises(ConfigError) as raised:
            await transport.consume(wide)
        for name in ("wide", BOX.consumer):
            assert name in str(raised.value)

    async def test_a_consumer_keeps_its_filter(self, place: Place, transport: Transport) -> None:
        """Another filter under the same name is an error that names both filters."""
        spec = place.spec()
        await transport.consume(spec)
        changed = ConsumerSpec(spec.name, place.names.inbox(ELSEWHERE), spec.lease)
        with pytest.raises(ConfigError) as raised:
            await transport.consume(changed)
        for name in (spec.filter, changed.filter):
            assert name in str(raised.value)

    async def test_many_messages_arrive_once_each(self, place: Place, transport: Transport, other: Transport) -> None:
        """Two thousand in; two thousand out, over two workers with little credit; nothing is left."""
        expected = [b"%d" % n for n in range(2_000)]
        seen: list[bytes] = []

        async def work(consumer: Consumer) -> None:
            consumer.grant(100)
            while len(seen) < len(expected):
                for delivery in await consumer.receive():
                    seen.append(delivery.message.body)
                    delivery.ack()
                    consumer.grant(1)
            group.cancel_scope.cancel()

        with anyio.fail_after(4 * PATIENCE):
            async with anyio.create_task_group() as group:
                for by in (transport, other):
                    group.start_soon(work, await by.consume(place.spec(lease=LONG)))
                for start in range(0, len(expected), 500):
                    await store(other, *(place.task(body.decode(), body) for body in expected[start : start + 500]))
        assert sorted(seen) == sorted(expected)
        await gone(other, place.names.inbox(BOX))
