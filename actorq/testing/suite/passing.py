"""Passing messages and announcements: who hears what, and from when on."""

from __future__ import annotations

import pytest

from actorq.model.message import Expect, Message, Publication, Refused
from actorq.ports.transport import Transport
from actorq.testing.suite.harness import BOX, Place, SuiteFixtures, lacks, publish, store
from actorq.testing.waiting import wait_until


class Ear:
    """Listens to a subject and keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.gaps: int = 0

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.heard]

    def gap(self) -> None:
        self.gaps += 1

    async def hears(self, *expected: bytes) -> None:
        """Wait for as many messages; they must be these, in this order."""
        await wait_until(lambda: len(self.heard) >= len(expected), description=f"{len(expected)} messages are heard")
        assert self.bodies == list(expected)


@pytest.mark.anyio
class PassingTests(SuiteFixtures):
    async def test_a_passing_message_reaches_all_who_listen(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Every subscription, also of the sender, is active when ``subscribe`` returns, and hears it once."""
        subject, ears = f"{place.settings.prefix}.e.done.actor", [Ear(), Ear()]
        for by, ear in zip((transport, other), ears, strict=True):
            await by.subscribe(subject, ear.heard.append, ear.gap)
        await transport.notify(subject, b"one")
        await transport.notify(subject, b"two")
        for ear in ears:
            await ear.hears(b"one", b"two")
            assert ear.heard[0].subject == subject

    async def test_a_listener_can_reply(self, place: Place, transport: Transport, other: Transport) -> None:
        """``reply`` reaches the receiver, and a message sent there reaches the one who asked."""
        control, answer = f"{place.settings.prefix}.c.all.find", place.names.wake("origin", "q1")
        asked, answered = Ear(), Ear()
        await other.subscribe(control, asked.heard.append, asked.gap)
        await transport.subscribe(place.names.wake("origin"), answered.heard.append, answered.gap)
        await transport.notify(control, b"where?", reply=answer)
        await asked.hears(b"where?")
        assert asked.heard[0].reply == answer
        await other.notify(asked.heard[0].reply, b"here")
        await answered.hears(b"here")
        assert (answered.heard[0].subject, answered.heard[0].reply) == (answer, "")

    async def test_a_filter_stands_for_one_token_each(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """A listener to a filter hears what matches it, in order, and nothing else."""
        ear, prefix = Ear(), place.settings.prefix
        await other.subscribe(f"{prefix}.e.*.actor", ear.heard.append, ear.gap)
        for tokens in ("started.actor", "started.other", "started.actor.more", "actor", "done.actor"):
            await transport.notify(f"{prefix}.e.{tokens}", tokens.encode())
        await ear.hears(b"started.actor", b"done.actor")

    async def test_a_closed_subscription_hears_nothing(self, place: Place, transport: Transport) -> None:
        """Closing is at once: what was on its way is dropped."""
        subject, closed, open_ear = f"{place.settings.prefix}.e.done.actor", Ear(), Ear()
        subscription = await transport.subscribe(subject, closed.heard.append, closed.gap)
        await transport.subscribe(subject, open_ear.heard.append, open_ear.gap)
        await transport.notify(subject, b"one")
        await closed.hears(b"one")
        await transport.notify(subject, b"two")
        subscription.close()
        before = closed.bodies
        await transport.notify(subject, b"three")
        await open_ear.hears(b"one", b"two", b"three")
        assert closed.bodies == before
        assert open_ear.gaps == 0

    async def test_a_result_is_announced_once_it_can_be_read(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Whoever hears of a result finds it stored; a refused one is not announced."""
        names, ear = place.names, Ear()
        first, second = (Publication(names.result("origin", key), key.encode()) for key in ("a", "b"))
        await other.subscribe(names.wake("origin"), ear.heard.append, ear.gap)
        await store(transport, first)
        refused = Publication(first.subject, b"late", expect=Expect(0, first.subject))
        assert await publish(transport, refused) == Refused()
        await wait_until(lambda: ear.heard, description="the announcement")
        assert not await lacks(other, first.subject)
        await store(transport, second)
        await ear.hears(b"a", b"b")
        assert [message.subject for message in ear.heard] == [names.wake("origin", key) for key in ("a", "b")]

    async def test_a_cancellation_is_announced_and_stays(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """What is stored under ``x`` is announced under ``n.x`` and can be scanned by those who come later."""
        prefix, ear = place.settings.prefix, Ear()
        await other.subscribe(f"{prefix}.n.x.*", ear.heard.append, ear.gap)
        await store(transport, Publication(f"{prefix}.x.a", b"cancel"))
        await ear.hears(b"cancel")
        assert ear.heard[0].subject == f"{prefix}.n.x.a"
        await wait_until(lambda: scanned(other, f"{prefix}.x.*", b"cancel"), description="the scan shows it")

    async def test_a_register_record_is_heard_where_it_is_stored(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """A listener to a stored subject hears what is published there, if perhaps before it is stored."""
        subject, ear = place.names.register(BOX), Ear()
        await other.subscribe(place.names.registers(), ear.heard.append, ear.gap)
        await store(transport, Publication(subject, b"record", expect=Expect(0, subject)))
        await ear.hears(b"record")
        assert ear.heard[0].subject == subject


async def scanned(transport: Transport, pattern: str, *expected: bytes) -> bool:
    return [message.body for message in await transport.scan(pattern)] == list(expected)
