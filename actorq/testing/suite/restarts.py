"""The broker dies and comes back: what connections that are open make of it, and what was confirmed before."""

from __future__ import annotations

import anyio
import pytest

from actorq.errors import BrokerUnavailable, DeliveryUnknown, TransportError
from actorq.model.message import Confirmation, Failed, Message, Publication, Stored
from actorq.ports.transport import Consumer, Transport
from actorq.testing.suite.credit import pass_messages
from actorq.testing.suite.harness import (
    BOX,
    LONG,
    PATIENCE,
    Place,
    RestartHarness,
    SuiteFixtures,
    bodies,
    rival,
    store,
    take,
)
from actorq.testing.suite.leases import hold
from actorq.testing.suite.passing import Ear
from actorq.testing.suite.schedules import LATER, SOON, held
from actorq.testing.waiting import wait_until

OUTAGE_PATIENCE = 2 * PATIENCE


async def read(transport: Transport, subject: str) -> Message | None:
    """What is stored there, tried again while there is no connection."""
    with anyio.fail_after(OUTAGE_PATIENCE):
        while True:
            try:
                return await transport.get(subject)
            except TransportError:
                await anyio.sleep(0.05)


def surely_not_stored(answer: Confirmation) -> bool:
    """What a failure of the connection says about the message."""
    assert isinstance(answer, Failed), answer
    assert not answer.permanent
    assert isinstance(answer.error, DeliveryUnknown if answer.unknown else BrokerUnavailable)
    return not answer.unknown


@pytest.mark.anyio
class RestartTests(SuiteFixtures):
    async def test_what_was_confirmed_is_there_after_a_crash(
        self, harness: RestartHarness, place: Place, transport: Transport
    ) -> None:
        """Tasks, records, results and dead letters outlive the broker's process."""
        names = place.names
        publications = [
            place.task("a", b"task"),
            Publication(names.register(BOX), b"record"),
            Publication(names.result("origin", "a"), b"result", ttl=3_600.0),
            Publication(names.dead("default", "actor", "a"), b"dead"),
            held(place, "later", b"schedule", at=transport.now() + 3_600.0),
        ]
        sequences = await store(transport, *publications)
        async with harness.outage():
            pass
        for publication, sequence in zip(publications, sequences, strict=True):
            found = await read(transport, publication.subject)
            assert found is not None, publication.subject
            assert (found.body, found.sequence) == (publication.body, sequence)

    async def test_a_schedule_due_during_an_outage_fires_once(
        self, harness: RestartHarness, place: Place, transport: Transport
    ) -> None:
        """What became due while the broker was away fires when it is back."""
        due = transport.now() + SOON
        await store(transport, held(place, "a", b"a", at=due))
        async with harness.outage():
            await wait_until(lambda: transport.now() > due + SOON, description="it is due")
        await store(transport, held(place, "b", b"b", at=transport.now() + LATER))
        consumer = await rival(transport, place, 3)
        assert bodies(await take(consumer, 2)) == [b"a", b"b"]
        assert await consumer.stop() == []

    async def test_credit_survives_a_restart(
        self, harness: RestartHarness, place: Place, transport: Transport, other: Transport
    ) -> None:
        """A consumer that waited before the crash receives after it, and not more than it granted."""
        consumer = await transport.consume(place.spec(lease=LONG))
        consumer.grant(3)
        for _ in range(2):
            async with harness.outage():
                pass
        await store(other, *(place.task(f"k{n}") for n in range(5)))
        await take(consumer, 3, timeout=OUTAGE_PATIENCE)
        await pass_messages(transport, place)
        assert await consumer.stop() == []

    async def test_listeners_hear_of_the_gap_and_go_on(
        self, harness: RestartHarness, place: Place, transport: Transport
    ) -> None:
        """After a reconnect ``gap`` is called, and from then on messages are heard again."""
        subject, ear = f"{place.settings.prefix}.e.done.actor", Ear()
        await transport.subscribe(subject, ear.heard.append, ear.gap)
        async with harness.outage():
            pass
        await wait_until(lambda: ear.gaps, timeout=OUTAGE_PATIENCE, description="the gap is told")
        await transport.notify(subject, b"after")
        await ear.hears(b"after")

    async def test_publishing_without_a_broker_fails_in_time_and_says_how(
        self, harness: RestartHarness, place: Place, transport: Transport
    ) -> None:
        """The failure is no refusal for good, and what surely was not stored is not stored."""
        async with harness.outage():
            with anyio.fail_after(PATIENCE):
                (answer,) = await transport.publish([place.task("a")], timeout=0.5)
        found = await read(transport, place.task("a").subject)
        assert found is None or not surely_not_stored(answer)

    async def test_publishing_waits_for_the_broker(
        self, harness: RestartHarness, place: Place, transport: Transport
    ) -> None:
        """A message that is published while the broker is away is stored when it is back."""
        answers: list[Confirmation] = []

        async def send() -> None:
            answers.extend(await transport.publish([place.task("b", b"b")], timeout=OUTAGE_PATIENCE))

        async with anyio.create_task_group() as group, harness.outage():
            # After this one it is known that there is no connection.
            await transport.publish([place.task("a")], timeout=0.5)
            group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
        assert [type(answer) for answer in answers] == [Stored]
        assert await read(transport, place.task("b").subject) is not None

    async def test_confirmations_do_not_lie(
        self, harness: RestartHarness, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Of what is published across a crash, all that was confirmed is there, and nothing that surely was not."""
        answers: dict[bytes, Confirmation] = {}

        async def send() -> None:
            for start in range(0, 1_000, 10):
                batch = [b"%d" % n for n in range(start, start + 10)]
                publications = [place.task(body.decode(), body) for body in batch]
                answers.update(zip(batch, await transport.publish(publications, timeout=5.0), strict=True))

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await wait_until(lambda: len(answers) >= 200, description="some are published")
            async with harness.outage():
                pass
        await store(transport, place.task("last", b"last"))
        consumer = await rival(other, place, 1_001)
        found: list[bytes] = []
        while b"last" not in found:
            found += bodies(await consumer.receive())
        for body, answer in answers.items():
            if isinstance(answer, Stored):
                assert body in found
            elif surely_not_stored(answer):
                assert body not in found

    async def test_a_lease_that_ran_out_during_an_outage_is_lost(
        self, harness: RestartHarness, place: Place, transport: Transport, other: Transport
    ) -> None:
        """A holder that cannot renew hears of it without the broker; the message is delivered again."""
        delivery = await hold(transport, place)
        lost: list[bool] = []
        delivery.keep(LONG, lambda: lost.append(True))
        async with harness.outage():
            await wait_until(lambda: lost, description="the holder hears that its lease is lost")
        consumer = await rival(other, place)
        (again,) = await take(consumer, 1, timeout=OUTAGE_PATIENCE)
        assert again.message.sequence == delivery.message.sequence
        assert lost == [True]

    async def test_work_goes_on_after_a_crash(
        self, harness: RestartHarness, place: Place, transport: Transport, other: Transport
    ) -> None:
        """Every message is delivered at least once and in the end removed, whatever acks were lost."""
        expected = {b"%d" % n for n in range(500)}
        await store(transport, *(place.task(body.decode(), body) for body in expected))
        seen: set[bytes] = set()

        async def work(consumer: Consumer) -> None:
            consumer.grant(10)
            while True:
                for delivery in await consumer.receive():
                    seen.add(delivery.message.body)
                    delivery.ack()
                    consumer.grant(1)

        async def empty() -> bool:
            return await read(transport, place.names.inbox(BOX)) is None

        async with anyio.create_task_group() as group:
            for by in (transport, other):
                group.start_soon(work, await by.consume(place.spec()))
            await wait_until(lambda: len(seen) >= 50, description="some are done")
            async with harness.outage():
                pass
            await wait_until(empty, timeout=OUTAGE_PATIENCE, description="every message is removed")
            group.cancel_scope.cancel()
        assert seen == expected
