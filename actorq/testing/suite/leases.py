"""Leases: what a holder can rely on, and what becomes of its messages when it is gone."""

from __future__ import annotations

import time

import anyio
import pytest

from actorq.errors import TransportError
from actorq.model.message import Expect, Refused
from actorq.ports.transport import Consumer, Delivery, Transport
from actorq.testing.suite.harness import (
    BOX,
    CLOCK,
    LONG,
    PATIENCE,
    Place,
    SuiteFixtures,
    bodies,
    gone,
    lacks,
    publish,
    rival,
    store,
    take,
)
from actorq.testing.waiting import wait_until


async def hold(transport: Transport, place: Place, *, lease: float | None = None) -> Delivery:
    """Publish one message to BOX and take it."""
    await store(transport, place.task("a", b"a"))
    consumer = await transport.consume(place.spec(lease=lease))
    consumer.grant(1)
    (delivery,) = await take(consumer, 1)
    return delivery


async def pass_leases(transport: Transport, place: Place, count: int) -> None:
    """Return when ``count`` leases have run out on the broker's clock: a message of its own is released so often."""
    await store(transport, place.task("tick", box=CLOCK))
    consumer = await transport.consume(place.spec(CLOCK))
    for _ in range(count + 1):
        consumer.grant(1)
        (delivery,) = await take(consumer, 1)
        delivery.release()


def block(seconds: float) -> None:
    """Do what no code in an event loop should do."""
    time.sleep(seconds)


@pytest.mark.anyio
class LeaseTests(SuiteFixtures):
    async def test_an_ack_removes_the_message(self, place: Place, transport: Transport) -> None:
        """After an ack the message is gone; a second ack is harmless."""
        delivery = await hold(transport, place)
        assert not await lacks(transport, place.task("a").subject)
        delivery.ack()
        delivery.ack()
        await gone(transport, place.task("a").subject)

    async def test_a_held_message_stays_with_its_holder(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """A holder that lives keeps its message for any number of leases, without doing anything."""
        delivery = await hold(transport, place)
        waiting = await rival(other, place)
        await pass_leases(transport, place, 3)
        assert await waiting.stop() == []
        assert delivery.deliveries == 1

    async def test_a_blocked_loop_keeps_its_messages(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Renewal does not need the event loop: code that blocks it for several leases loses nothing."""
        delivery = await hold(transport, place)
        lost: list[bool] = []
        delivery.keep(LONG, lambda: lost.append(True))
        waiting = await rival(other, place, 2)
        block(3 * place.lease)
        await store(transport, place.task("b", b"b"))
        assert bodies(await take(waiting, 1)) == [b"b"]
        assert (await waiting.stop(), lost) == ([], [])

    async def test_a_lost_holders_message_is_delivered_again(self, place: Place, transport: Transport) -> None:
        """When a holder vanishes, the lease runs out and another gets the same message, with the count raised."""
        await store(transport, place.task("a", b"a"))
        sequences: set[int] = set()
        for count in (1, 2, 3):
            async with place.connect() as holder:
                consumer = await rival(holder, place)
                (delivery,) = await take(consumer, 1)
                assert (delivery.deliveries, delivery.message.body) == (count, b"a")
                sequences.add(delivery.message.sequence)
                await place.harness.lose(holder)
        assert len(sequences) == 1

    async def test_credit_of_a_lost_connection_is_gone(self, place: Place, transport: Transport) -> None:
        """Work is not dealt to a consumer whose connection has vanished."""
        async with place.connect() as holder:
            await rival(holder, place, 5)
            await place.harness.lose(holder)
        await store(transport, place.task("a"))
        consumer = await rival(transport, place)
        await take(consumer, 1)

    async def test_leaving_leaves_what_is_held_to_its_lease(self, place: Place, other: Transport) -> None:
        """A connection that closes keeps nothing: its messages are delivered again."""
        async with place.connect() as holder:
            await hold(holder, place)
        (again,) = await take(await rival(other, place), 1)
        assert again.deliveries == 2

    async def test_closing_sends_queued_acks(self, place: Place, other: Transport) -> None:
        """An ack that was called before the block was left has its effect."""
        async with place.connect() as holder:
            consumer = await holder.consume(place.spec(lease=LONG))
            consumer.grant(100)
            await store(holder, *(place.task(f"k{n}") for n in range(100)))
            for delivery in await take(consumer, 100):
                delivery.ack()
        await gone(other, place.names.inbox(BOX))

    async def test_keep_ends_renewal_and_tells_once(self, place: Place, transport: Transport, other: Transport) -> None:
        """At its limit the holder is no longer renewed for: it hears of the loss once, another gets the message."""
        delivery = await hold(transport, place)
        lost: list[bool] = []
        limit, started = 1.5 * place.lease, anyio.current_time()
        delivery.keep(limit, lambda: lost.append(True))
        (again,) = await take(await rival(other, place), 1)
        assert anyio.current_time() - started >= limit
        assert again.deliveries == 2
        await wait_until(lambda: lost, description="the holder hears that its lease is lost")
        await pass_leases(transport, place, 1)
        assert lost == [True]

    async def test_a_later_keep_replaces_the_limit(self, place: Place, transport: Transport, other: Transport) -> None:
        """Only the last limit counts, also when it is the longer one."""
        delivery = await hold(transport, place)
        lost: list[bool] = []
        delivery.keep(place.lease / 2, lambda: lost.append(True))
        delivery.keep(LONG, lambda: lost.append(True))
        waiting = await rival(other, place)
        await pass_leases(transport, place, 3)
        assert (await waiting.stop(), lost) == ([], [])

    async def test_who_has_acked_is_told_nothing(self, place: Place, transport: Transport) -> None:
        """After an ack there is no lease that could be lost."""
        await store(transport, place.task("a"), place.task("b"))
        first, second = await take(await rival(transport, place, 2), 2)
        lost: list[str] = []
        first.keep(place.lease / 2, lambda: lost.append("acked"))
        second.keep(place.lease, lambda: lost.append("kept"))
        first.ack()
        await wait_until(lambda: lost, description="the second is lost")
        assert lost == ["kept"]

    async def test_release_leaves_the_message_to_its_lease(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Whoever releases is told nothing more; the message is delivered again once its lease is over."""
        delivery = await hold(transport, place)
        lost: list[bool] = []
        delivery.keep(LONG, lambda: lost.append(True))
        delivery.release()
        (again,) = await take(await rival(other, place), 1)
        assert again.deliveries == 2
        await pass_leases(transport, place, 1)
        assert lost == []

    async def test_a_late_ack_removes_the_message(self, place: Place, transport: Transport, other: Transport) -> None:
        """An ack is not tied to the lease: also that of a stale holder removes the message."""
        delivery = await hold(transport, place)
        delivery.release()
        await take(await rival(other, place), 1)
        delivery.ack()
        await gone(transport, place.task("a").subject)

    async def test_a_stale_holder_changes_nothing(self, place: Place, transport: Transport, other: Transport) -> None:
        """Once the next holder has re-issued the message, the stale one's own re-issue is refused, its ack harmless."""
        delivery = await hold(transport, place)
        expect = Expect(delivery.message.sequence, place.names.copies(BOX.actor, "a"))
        delivery.release()
        consumer = await rival(other, place)
        (again,) = await take(consumer, 1)
        await store(other, place.task("a", b"re-issued", expect=expect))
        again.ack()
        assert await publish(transport, place.task("a", b"stale", expect=expect)) == Refused()
        delivery.ack()
        consumer.grant(1)
        assert bodies(await take(consumer, 1)) == [b"re-issued"]

    async def test_a_newer_configuration_sets_the_lease(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """The lease of a consumer that exists is updated, and holds for what is delivered from then on."""
        assert (await transport.consume(place.spec())).lease == pytest.approx(place.lease)
        longer = await other.consume(place.spec(lease=2 * place.lease))
        assert longer.lease == pytest.approx(2 * place.lease)
        await store(transport, place.task("a"))
        longer.grant(2)
        (delivery,) = await take(longer, 1)
        released = anyio.current_time()
        delivery.release()
        (again,) = await take(longer, 1)
        assert again.deliveries == 2
        assert anyio.current_time() - released >= 1.25 * place.lease

    async def test_a_closed_connection_delivers_no_more(self, place: Place) -> None:
        """Whoever waits for a delivery on a connection that is closed gets an error and does not wait for ever."""
        errors: list[TransportError] = []

        async def wait(consumer: Consumer) -> None:
            with pytest.raises(TransportError) as raised:
                await consumer.receive()
            errors.append(raised.value)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group, place.connect() as opened:
                group.start_soon(wait, await opened.consume(place.spec()))
                await anyio.wait_all_tasks_blocked()
        assert len(errors) == 1
