"""Looking around without taking anything: what is stored, in order, and how consumers stand."""

from __future__ import annotations

import anyio
import pytest

from actorq.model.address import Mailbox
from actorq.model.message import Backlog, Message, Publication, Schedule
from actorq.ports.transport import Transport
from actorq.testing.suite.harness import BOX, ELSEWHERE, LONG, Place, SuiteFixtures, store, take
from actorq.testing.waiting import wait_until

MANY = 1_200


async def browsed(transport: Transport, subject: str, count: int, *, after: int = 0, limit: int = 256) -> list[Message]:
    """Browse until ``count`` messages are shown; more than that is a failure."""
    found: list[Message] = []

    async def shown() -> bool:
        found[:] = await transport.browse(subject, after=after, limit=limit)
        return len(found) >= count

    await wait_until(shown, description=f"{count} messages are shown on {subject}")
    assert len(found) == count
    return found


async def stands(transport: Transport, name: str, *, waiting: int, held: int, asking: bool) -> None:
    """Wait until the consumer stands as is told."""
    seen: list[Backlog | None] = []

    async def so() -> bool:
        backlog = await transport.backlog(name)
        seen.append(backlog)
        return backlog is not None and (backlog.waiting, backlog.held, backlog.pullers > 0) == (waiting, held, asking)

    try:
        await wait_until(so, description=f"{waiting} wait, {held} are held, asking: {asking}")
    except AssertionError as error:
        raise AssertionError(f"{error}; last seen: {seen[-1]}") from error


@pytest.mark.anyio
class BrowsingTests(SuiteFixtures):
    async def test_browse_shows_what_is_stored_in_its_order(self, place: Place, transport: Transport) -> None:
        """Messages that match, oldest first, as they were stored; of one subject all, whoever holds one or not."""
        at = transport.now() + 3_600.0
        held = Publication(place.names.schedule(BOX, "d"), b"held", schedule=Schedule(place.task("d").subject, at=at))
        first, foreign, again, _, last = await store(
            transport,
            place.task("a", b"1", headers={"h": "1"}),
            place.task("b", b"foreign", box=ELSEWHERE),
            place.task("a", b"2"),
            held,
            place.task("c", b"3"),
        )
        consumer = await transport.consume(place.spec(lease=LONG))
        consumer.grant(1)
        await take(consumer, 1)
        found = await browsed(transport, place.names.inbox(BOX), 3)
        assert [(m.sequence, m.body) for m in found] == [(first, b"1"), (again, b"2"), (last, b"3")]
        assert (found[0].subject, dict(found[0].headers)) == (place.task("a").subject, {"h": "1"})
        assert abs(found[0].at - transport.now()) < 15.0
        everywhere = Mailbox("*", 0, "*")
        assert [m.sequence for m in await browsed(transport, place.names.inbox(everywhere), 4)][1] == foreign
        assert len(await browsed(transport, place.names.copies("*", "d"), 1)) == 1

    async def test_browse_goes_on_after_a_sequence(self, place: Place, transport: Transport) -> None:
        """Page by page every message is shown once, also those of a subject whose like was shown before."""
        await store(transport, *(place.task(f"k{n % 4}", b"%d" % n) for n in range(10)))
        subject = place.names.inbox(BOX)
        await browsed(transport, subject, 10)
        pages: list[list[Message]] = [list(await transport.browse(subject, limit=4))]
        while len(pages[-1]) == 4:
            pages.append(list(await transport.browse(subject, after=pages[-1][-1].sequence, limit=4)))
        assert [len(page) for page in pages] == [4, 4, 2]
        assert [m.body for page in pages for m in page] == [b"%d" % n for n in range(10)]
        assert list(await transport.browse(subject, after=pages[-1][-1].sequence)) == []

    async def test_browse_has_no_limit_but_the_callers(self, place: Place, transport: Transport) -> None:
        """More subjects than a scan looks up, and more bytes than one answer holds, are shown all the same."""
        await store(transport, *(Publication(place.names.dead("q", "a", f"k{n}"), b"") for n in range(MANY)))
        assert len(await browsed(transport, place.names.dead("*", "*", "*"), MANY, limit=MANY + 1)) == MANY
        assert len(await browsed(transport, place.names.dead("*", "*", "*"), MANY - 1, limit=MANY - 1)) == MANY - 1
        large = [place.task(f"k{n}", b"x" * 500_000) for n in range(40)]
        await store(transport, *large)
        assert len(await browsed(transport, place.names.inbox(BOX), 40)) == 40

    async def test_browse_of_nothing_is_nothing(self, place: Place, transport: Transport) -> None:
        """Where nothing matches, or no more, there is no error."""
        assert list(await transport.browse(place.names.inbox(BOX))) == []
        await store(transport, place.task("a"))
        found = await browsed(transport, place.names.inbox(BOX), 1)
        assert list(await transport.browse(place.names.inbox(BOX), after=found[0].sequence + 100)) == []
        assert list(await transport.browse(place.names.dead("*", "*", "*"))) == []

    async def test_browse_leaves_out_what_was_removed(self, place: Place, transport: Transport) -> None:
        """A message that was deleted is not shown; those beside it are."""
        await store(transport, *(place.task(f"k{n}") for n in range(3)))
        found = await browsed(transport, place.names.inbox(BOX), 3)
        assert await transport.delete(found[1])
        left = await browsed(transport, place.names.inbox(BOX), 2, limit=2)
        assert left == [found[0], found[2]]

    async def test_a_backlog_counts_what_waits_and_what_is_held(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """What was never delivered waits; what was is held until its ack; who has credit asks."""
        name = BOX.consumer
        assert await transport.backlog(name) is None
        consumer = await transport.consume(place.spec(lease=LONG))
        await stands(other, name, waiting=0, held=0, asking=False)
        await store(transport, *(place.task(f"k{n}") for n in range(5)), place.task("a", box=ELSEWHERE))
        await stands(other, name, waiting=5, held=0, asking=False)
        consumer.grant(2)
        first, _ = await take(consumer, 2)
        await stands(other, name, waiting=3, held=2, asking=False)
        first.ack()
        await stands(other, name, waiting=3, held=1, asking=False)
        consumer.grant(10)
        await take(consumer, 3)
        await stands(other, name, waiting=0, held=4, asking=True)
        await consumer.stop()
        await stands(other, name, waiting=0, held=4, asking=False)

    async def test_a_backlog_does_not_count_what_was_removed(self, place: Place, transport: Transport) -> None:
        """A message that was deleted waits no longer, and is held no longer."""
        consumer = await transport.consume(place.spec(lease=LONG))
        await store(transport, *(place.task(f"k{n}") for n in range(3)))
        consumer.grant(1)
        (held,) = await take(consumer, 1)
        waiting = await transport.get(place.task("k2").subject)
        assert waiting is not None
        assert await transport.delete(held.message)
        assert await transport.delete(waiting)
        await stands(transport, BOX.consumer, waiting=1, held=0, asking=False)

    async def test_a_message_whose_lease_ran_out_is_held(self, place: Place, transport: Transport) -> None:
        """Until somebody takes it again it counts as held, for its last holder may still ack it."""
        consumer = await transport.consume(place.spec())
        await store(transport, place.task("a"))
        consumer.grant(1)
        (delivery,) = await take(consumer, 1)
        lost = anyio.Event()
        delivery.keep(0.0, lost.set)
        await lost.wait()
        await stands(transport, BOX.consumer, waiting=0, held=1, asking=False)
        consumer.grant(1)
        (again,) = await take(consumer, 1)
        again.ack()
        await stands(transport, BOX.consumer, waiting=0, held=0, asking=False)
