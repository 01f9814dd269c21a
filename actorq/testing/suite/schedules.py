"""Schedules: messages that the broker holds until they are due."""

from __future__ import annotations

import pytest

from actorq.model.message import Expect, Publication, Refused, Schedule, Stored
from actorq.ports.transport import Transport
from actorq.testing.suite.harness import BOX, Place, SuiteFixtures, bodies, lacks, publish, store, take
from actorq.testing.waiting import wait_until

SOON, LATER = 0.3, 0.6
"""Seconds; what is due LATER than another fires after it, although a broker may be late by a quarter of a second."""
CLOCK_ERROR = 0.001


def held(
    place: Place,
    key: str,
    body: bytes = b"",
    *,
    at: float | None = None,
    every: float | None = None,
    expect: Expect | None = None,
) -> Publication:
    """A message that a schedule holds back from BOX."""
    schedule = Schedule(place.names.task(BOX, key), at=at, every=every)
    return Publication(place.names.schedule(BOX, key), body, {"h": "1"}, expect=expect, schedule=schedule)


@pytest.mark.anyio
class ScheduleTests(SuiteFixtures):
    async def test_it_fires_when_due_as_the_message_it_holds(self, place: Place, transport: Transport) -> None:
        """Never early; with its own body and headers alone; and the holder is gone."""
        due = transport.now() + SOON
        consumer = await transport.consume(place.spec())
        consumer.grant(2)
        holder = held(place, "a", b"body", at=due)
        await store(transport, holder)
        assert not await lacks(transport, holder.subject)
        (delivery,) = await take(consumer, 1)
        message = delivery.message
        assert (message.subject, message.body) == (place.task("a").subject, b"body")
        assert dict(message.headers) == {"h": "1"}
        assert message.at >= due - CLOCK_ERROR
        assert await lacks(transport, holder.subject)

    async def test_it_fires_once(self, place: Place, transport: Transport) -> None:
        """Each of many schedules gives one message."""
        keys = [b"%d" % n for n in range(50)]
        due = transport.now() + SOON
        last = held(place, "z", b"z", at=due + LATER)
        await store(transport, *(held(place, key.decode(), key, at=due) for key in keys), last)
        consumer = await transport.consume(place.spec())
        consumer.grant(100)
        assert sorted(bodies(await take(consumer, 51))) == sorted([*keys, b"z"])
        assert await consumer.stop() == []

    async def test_a_past_time_fires_at_once(self, place: Place, transport: Transport) -> None:
        """What is due already does not wait."""
        await store(transport, held(place, "a", at=transport.now() - 60.0))
        await wait_until(lambda: fired(place, transport, "a"), description="it fires")

    async def test_a_message_on_the_holder_replaces_the_schedule(self, place: Place, transport: Transport) -> None:
        """Publishing again to the same holder moves or changes what is due: the older version never fires."""
        now = transport.now()
        (first,) = await store(transport, held(place, "a", b"first", at=now + SOON))
        copies = place.names.copies(BOX.actor, "a")
        await store(transport, held(place, "a", b"second", expect=Expect(first, copies), at=now + SOON + LATER))
        consumer = await transport.consume(place.spec())
        consumer.grant(2)
        assert bodies(await take(consumer, 1)) == [b"second"]
        assert await consumer.stop() == []

    async def test_a_deleted_holder_does_not_fire(self, place: Place, transport: Transport) -> None:
        """Deleting the holder cancels the schedule; afterwards there is nothing to delete."""
        now = transport.now()
        await store(transport, held(place, "a", b"a", at=now + SOON), held(place, "b", b"b", at=now + SOON + LATER))
        found = await transport.get(place.names.schedule(BOX, "a"))
        assert found is not None
        assert await transport.delete(found)
        assert not await transport.delete(found)
        consumer = await transport.consume(place.spec())
        consumer.grant(2)
        assert bodies(await take(consumer, 1)) == [b"b"]
        assert await consumer.stop() == []

    async def test_firing_and_rescheduling_exclude_one_another(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Whoever re-publishes a schedule that may be firing just now is refused, or nothing has fired."""
        now = transport.now()
        keys = [f"k{n}" for n in range(12)]
        firsts = await store(
            transport, *(held(place, key, b"first", at=now + SOON + n / 20) for n, key in enumerate(keys))
        )
        consumer = await transport.consume(place.spec())
        consumer.grant(2 * len(keys))
        taken = list(await consumer.receive())  # some have fired by now, others have not
        expected = {}
        for key, first in zip(keys, firsts, strict=True):
            expect = Expect(first, place.names.copies(BOX.actor, key))
            answer = await publish(other, held(place, key, b"second", expect=expect, at=now + SOON + LATER))
            assert isinstance(answer, Stored | Refused)
            expected[place.task(key).subject] = b"second" if isinstance(answer, Stored) else b"first"
        taken += await take(consumer, len(keys) - len(taken))
        assert {delivery.message.subject: delivery.message.body for delivery in taken} == expected
        assert await consumer.stop() == []

    async def test_a_recurring_schedule_fires_until_it_is_deleted(self, place: Place, transport: Transport) -> None:
        """``every`` fires again and again, its holder stays, and ends with it."""
        await store(transport, held(place, "a", b"tick", every=1.0))
        consumer = await transport.consume(place.spec())
        consumer.grant(2)
        first, second = (delivery.message for delivery in await take(consumer, 2))
        assert 0.75 <= second.at - first.at <= 2.0
        holder = await transport.get(place.names.schedule(BOX, "a"))
        assert holder is not None
        assert await transport.delete(holder)
        ended = transport.now()
        await store(transport, held(place, "b", b"last", at=ended + LATER + SOON))
        consumer.grant(3)
        rest = [delivery.message for delivery in await consumer.receive()]
        while rest[-1].body != b"last":
            rest += [delivery.message for delivery in await consumer.receive()]
        assert [message.body for message in rest if message.at > ended + SOON] == [b"last"]


async def fired(place: Place, transport: Transport, key: str) -> bool:
    return not await lacks(transport, place.task(key).subject)
