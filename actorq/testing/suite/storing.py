"""Storing and reading: what a confirmation means, what is refused, and what can be read back."""

from __future__ import annotations

import anyio
import pytest

from actorq.model.address import Mailbox
from actorq.model.message import Confirmation, Expect, Failed, Publication, Refused, Schedule, Stored
from actorq.ports.transport import Transport
from actorq.testing.suite.harness import (
    BOX,
    ELSEWHERE,
    PATIENCE,
    Place,
    SuiteFixtures,
    bodies,
    gone,
    publish,
    store,
    take,
)
from actorq.testing.waiting import wait_until

SCAN_LIMIT = 1_024


@pytest.mark.anyio
class StoringTests(SuiteFixtures):
    async def test_a_confirmed_message_can_be_read_by_anybody(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """A confirmation means: stored, unchanged, under this sequence, for every connection."""
        publication = place.task("a", bytes(range(256)), headers={"Name": "a value: with a colon"})
        (sequence,) = await store(transport, publication)
        found = await other.get(publication.subject)
        assert found is not None
        assert (found.subject, found.body, found.sequence) == (publication.subject, publication.body, sequence)
        assert dict(found.headers) == publication.headers

    async def test_options_of_a_publication_are_no_headers(self, place: Place, transport: Transport) -> None:
        """How a message was to be stored is not part of it: a reader sees the publisher's own headers alone."""
        subject = place.task("a").subject
        await store(transport, place.task("a", headers={"h": "1"}, msg_id="m", expect=Expect(0, subject), ttl=60.0))
        found = await transport.get(subject)
        assert found is not None
        assert dict(found.headers) == {"h": "1"}

    async def test_a_batch_is_stored_in_its_order(self, place: Place, transport: Transport) -> None:
        """Messages of one call get rising sequences, and confirmations stand in the order of the messages."""
        sequences = await store(transport, *(place.task(f"k{n}", b"%d" % n) for n in range(100)))
        assert sequences == sorted(set(sequences))
        found = await transport.get(place.task("k57").subject)
        assert found is not None
        assert (found.body, found.sequence) == (b"57", sequences[57])

    async def test_an_empty_batch_is_nothing(self, transport: Transport) -> None:
        """Publishing no message confirms no message."""
        assert list(await transport.publish([], timeout=PATIENCE)) == []

    async def test_the_time_of_a_message_is_the_transports_time(self, place: Place, transport: Transport) -> None:
        """``now`` is the clock by which the broker stamps messages, to a second."""
        before = transport.now()
        await store(transport, place.task("a"))
        found = await transport.get(place.task("a").subject)
        assert found is not None
        assert before - 1.0 <= found.at <= transport.now() + 1.0

    async def test_expect_zero_stores_only_the_first(self, place: Place, transport: Transport) -> None:
        """Where nothing may be there yet, the second message is refused and changes nothing."""
        expect = Expect(0, place.task("a").subject)
        await store(transport, place.task("a", b"first", expect=expect))
        assert await publish(transport, place.task("a", b"second", expect=expect)) == Refused()
        found = await transport.get(expect.subject)
        assert found is not None
        assert found.body == b"first"

    async def test_expect_a_sequence_is_compare_and_swap(self, place: Place, transport: Transport) -> None:
        """A message that expects the newest sequence is stored once; whoever expects an older one is refused."""
        subject = place.names.result("origin", "a")
        (first,) = await store(transport, Publication(subject, b"first"))
        swap = Publication(subject, b"second", expect=Expect(first, subject))
        await store(transport, swap)
        assert await publish(transport, swap) == Refused()

    async def test_expect_sees_every_copy_through_a_wildcard(self, place: Place, transport: Transport) -> None:
        """A copy in flight, in another queue or held by a schedule counts; another key and a removed one do not."""
        names = place.names

        async def attempt(key: str) -> Confirmation:
            return await publish(transport, place.task(key, expect=Expect(0, names.copies(BOX.actor, key))))

        due = transport.now() + 3_600
        (sequence, *_) = await store(
            transport,
            place.task("held"),
            place.task("away", box=Mailbox("reports", 0, BOX.actor)),
            Publication(names.schedule(BOX, "later"), b"", schedule=Schedule(names.task(BOX, "later"), at=due)),
        )
        consumer = await transport.consume(place.spec(lease=60.0))
        consumer.grant(1)
        (delivery,) = await take(consumer, 1)
        assert delivery.message.sequence == sequence
        assert [await attempt(key) for key in ("held", "away", "later")] == [Refused()] * 3
        assert isinstance(await attempt("new"), Stored)
        delivery.ack()
        await gone(transport, place.task("held").subject)
        assert isinstance(await attempt("held"), Stored)

    async def test_expect_may_name_another_subject(self, place: Place, transport: Transport) -> None:
        """The condition is about the subject that it names, whatever is published."""
        (sequence,) = await store(transport, place.task("a"))
        subject = place.task("a").subject
        assert await publish(transport, place.task("b", expect=Expect(0, subject))) == Refused()
        await store(transport, place.task("b", expect=Expect(sequence, subject)))

    async def test_expect_is_checked_before_the_msg_id(self, place: Place, transport: Transport) -> None:
        """A repeat whose condition no longer holds is refused; one whose condition holds is a duplicate."""
        subject = place.task("a").subject
        (sequence,) = await store(transport, place.task("a", msg_id="one", expect=Expect(0, subject)))
        assert await publish(transport, place.task("a", msg_id="one", expect=Expect(0, subject))) == Refused()
        again = place.task("a", msg_id="one", expect=Expect(sequence, subject))
        assert await publish(transport, again) == Stored(sequence, duplicate=True)

    async def test_a_repeated_msg_id_stores_nothing(self, place: Place, transport: Transport) -> None:
        """A repeat within the window, also on another subject, is confirmed as the first and not stored."""
        (sequence,) = await store(transport, place.task("a", b"first", msg_id="one"))
        assert await publish(transport, place.task("b", msg_id="one")) == Stored(sequence, duplicate=True)
        assert await transport.get(place.task("b").subject) is None

    async def test_a_msg_id_is_remembered_after_its_message(self, place: Place, transport: Transport) -> None:
        """A repeat within the window is a duplicate, also when the first was removed meanwhile."""
        (sequence,) = await store(transport, place.task("a", msg_id="one"))
        found = await transport.get(place.task("a").subject)
        assert found is not None
        assert await transport.delete(found)
        assert await publish(transport, place.task("a", msg_id="one")) == Stored(sequence, duplicate=True)

    async def test_one_bad_message_does_not_harm_the_others(self, place: Place, transport: Transport) -> None:
        """Each message of a batch has its own confirmation."""
        await store(transport, place.task("taken"))
        taken = place.task("taken")
        huge = b"x" * (transport.max_bytes + 1)
        answers = await transport.publish(
            [
                place.task("a"),
                place.task("huge", huge),
                place.task("b"),
                place.task("taken", expect=Expect(0, taken.subject)),
                place.task("c"),
            ],
            timeout=PATIENCE,
        )
        assert [type(answer) for answer in answers] == [Stored, Failed, Stored, Refused, Stored]

    async def test_a_message_above_the_limit_fails_for_good(self, place: Place, transport: Transport) -> None:
        """Body and headers together count; the failure is permanent, certain, and does not cost the connection."""
        full = b"x" * transport.max_bytes
        for publication in (place.task("a", full + b"x"), place.task("a", full, headers={"h": "1"})):
            answer = await publish(transport, publication)
            assert isinstance(answer, Failed)
            assert (answer.permanent, answer.unknown) == (True, False)
        await store(transport, place.task("a", b"x" * (transport.max_bytes // 2)))

    async def test_a_message_expires_after_its_ttl(self, place: Place, transport: Transport) -> None:
        """A message with a ttl is there, and gone once the ttl is over."""
        subject = place.names.result("origin", "a")
        await store(transport, Publication(subject, b"", ttl=1.0), place.task("b", ttl=1.0), place.task("c"))
        assert await transport.get(subject) is not None
        await gone(transport, subject)
        await gone(transport, place.task("b").subject)
        assert await transport.get(place.task("c").subject) is not None

    async def test_a_result_replaces_the_one_before(self, place: Place, transport: Transport) -> None:
        """The result store keeps one message for each subject."""
        subject = place.names.result("origin", "a")
        await store(transport, Publication(subject, b"first"))
        first = await transport.get(subject)
        await store(transport, Publication(subject, b"second"))
        second = await transport.get(subject)
        assert first is not None
        assert second is not None
        assert second.body == b"second"
        assert not await transport.delete(first)

    async def test_the_task_store_keeps_every_message(self, place: Place, transport: Transport) -> None:
        """Messages on one task subject do not replace one another, unless told to."""
        await store(transport, place.task("a", b"first"), place.task("a", b"second"))
        consumer = await transport.consume(place.spec())
        consumer.grant(2)
        assert bodies(await take(consumer, 2)) == [b"first", b"second"]

    async def test_replace_leaves_one_message(self, place: Place, transport: Transport) -> None:
        """With ``replace`` the message is the only one of its subject."""
        subject = place.names.register(BOX)
        for body in (b"first", b"second"):
            await store(transport, Publication(subject, body, replace=True))
        newest = await transport.get(subject)
        assert newest is not None
        assert newest.body == b"second"
        assert await transport.delete(newest)
        assert await transport.get(subject) is None

    async def test_dead_letters_are_stored(self, place: Place, transport: Transport) -> None:
        """The third store: what is published there is found by subject and by filter."""
        subject = place.names.dead("default", "actor", "a")
        await store(transport, Publication(subject, b"dead"))
        found = await transport.get(place.names.dead("*", "actor", "*"))
        assert found is not None
        assert (found.subject, found.body) == (subject, b"dead")

    async def test_get_gives_the_newest_of_a_filter(self, place: Place, transport: Transport) -> None:
        """Of all subjects that match, the newest message; None where none matches."""
        await store(transport, place.task("a", b"1"), place.task("b", b"2"), place.task("c", b"3", box=ELSEWHERE))
        found = await transport.get(place.names.inbox(BOX))
        assert found is not None
        assert found.body == b"2"
        assert await transport.get(place.names.inbox(BOX).replace(".default.", ".nowhere.")) is None

    async def test_scan_gives_the_newest_of_each_subject(self, place: Place, transport: Transport) -> None:
        """A scan has one message for each subject that matches."""
        await store(transport, place.task("a", b"old"), place.task("b", b"b"), place.task("a", b"a"))
        await store(transport, place.task("c", b"c", box=ELSEWHERE))

        async def scanned() -> bool:
            found = await transport.scan(place.names.inbox(BOX))
            return sorted(message.body for message in found) == [b"a", b"b"]

        await wait_until(scanned, description="the scan shows what was stored")
        assert list(await transport.scan(place.names.registers())) == []

    async def test_scan_is_limited(self, place: Place, transport: Transport) -> None:
        """Where more subjects match than a scan gives, it gives as many as it may."""
        names = place.names
        await store(transport, *(Publication(names.result("origin", f"k{n}"), b"") for n in range(SCAN_LIMIT + 10)))

        async def scanned() -> bool:
            return len(await transport.scan(names.result("origin", "*"))) == SCAN_LIMIT

        await wait_until(scanned, description="the scan shows 1,024 messages")

    async def test_delete_removes_this_message_only(self, place: Place, transport: Transport) -> None:
        """The message of that sequence goes, what else lies on its subject stays; a second time there is nothing."""
        await store(transport, place.task("a", b"first"))
        first = await transport.get(place.task("a").subject)
        await store(transport, place.task("a", b"second"))
        assert first is not None
        assert await transport.delete(first)
        assert not await transport.delete(first)
        found = await transport.get(place.task("a").subject)
        assert found is not None
        assert found.body == b"second"

    async def test_of_many_writers_one_wins(self, place: Place, transport: Transport, other: Transport) -> None:
        """Of forty that write at once where nothing may be there, exactly one is confirmed, and its message stands."""
        subject = place.names.result("origin", "a")
        winners: list[bytes] = []

        async def write(by: Transport, body: bytes) -> None:
            answer = await publish(by, Publication(subject, body, expect=Expect(0, subject)))
            if answer != Refused():
                assert isinstance(answer, Stored), answer
                winners.append(body)

        async with anyio.create_task_group() as group:
            for n in range(40):
                group.start_soon(write, (transport, other)[n % 2], b"%d" % n)
        found = await transport.get(subject)
        assert found is not None
        assert winners == [found.body]

    async def test_namespaces_do_not_meet(self, place: Place, transport: Transport) -> None:
        """What is stored in one namespace is neither seen in another nor in its way."""
        await store(transport, place.task("a", msg_id="one"))
        foreign = Place.at(place.harness)
        async with foreign.connect() as elsewhere:
            assert await elsewhere.get(foreign.task("a").subject) is None
            answer = await publish(elsewhere, foreign.task("a", msg_id="one"))
            assert isinstance(answer, Stored)
            assert not answer.duplicate
