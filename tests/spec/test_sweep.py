"""The sweep for messages without anybody's attention: semantics A-5, D-8."""

from __future__ import annotations

import anyio
import pytest

from actorq import ActorSystem
from actorq.client import Client
from actorq.model.address import Mailbox
from actorq.model.message import ConsumerSpec, Publication, Stored
from actorq.runtime import sweep
from actorq.runtime.sweep import Pulled, Sweep
from actorq.testing import wait_until

pytestmark = pytest.mark.anyio
BOX, ASTRAY = Mailbox("default", 0, "add"), Mailbox("media", 2, "add")
SILENCE = 0.2


def sweeping(client: Client) -> Sweep:
    return Sweep(client.transport, client.namespace, client.register, silence=SILENCE)


async def put(client: Client, box: Mailbox, *keys: str) -> None:
    publications = [Publication(client.namespace.task(box, key), b"") for key in keys]
    answers = await client.transport.publish(publications, timeout=10.0)
    assert all(isinstance(answer, Stored) for answer in answers)


async def registered(client: Client) -> list[Mailbox]:
    return [entry.mailbox for entry in await client.register.entries()]


async def test_a_mailbox_that_is_not_registered_is_found_and_registered(system: ActorSystem) -> None:
    """A-5: what was published past the register, or lost its record, is found by the actor's workers."""
    async with system:
        client, found = system.client, list[Mailbox]()
        await client.register.ensure(BOX)
        await client.register.ensure(ASTRAY)
        record = await client.transport.get(client.namespace.register(ASTRAY))
        assert record is not None
        await client.transport.delete(record)
        await put(client, BOX, "a")
        await put(client, ASTRAY, "b")
        await put(client, Mailbox("media", 0, "another"), "c")

        async def swept() -> bool:
            found[:] = await sweeping(client).unregistered(["add", "idle"], [BOX])
            return bool(found)

        await wait_until(swept, description="the mailbox is found")
        assert found == [ASTRAY]

        async def written() -> bool:
            return await registered(client) == [BOX, ASTRAY]

        await wait_until(written, description="it is registered again")
        assert await sweeping(client).unregistered(["add"], [BOX, ASTRAY]) == []


async def test_it_is_found_behind_any_number_of_others(system: ActorSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A-5: one call looks at a page of messages; calls in a row at all of them, again and again."""
    monkeypatch.setattr(sweep, "PAGE", 3)
    async with system:
        client, sweeper, calls = system.client, sweeping(system.client), list[bool]()
        await put(client, BOX, *(f"k{n}" for n in range(6)))
        await put(client, ASTRAY, "b")

        async def complete() -> bool:
            return len(await client.transport.browse(f"{client.namespace.prefix}.t.*.*.add.*")) == 7

        await wait_until(complete, description="all are shown")
        for _ in range(6):
            calls.append(await sweeper.unregistered(["add"], [BOX]) == [ASTRAY])
        assert calls == [False, False, True] * 2


async def test_a_consumer_that_falls_silent_is_told_of(system: ActorSystem) -> None:
    """D-8: messages wait, nothing holds them back, and none has come for a while; not before that."""
    async with system:
        client, sweeper = system.client, sweeping(system.client)
        consumer = await client.transport.consume(ConsumerSpec(BOX.consumer, client.namespace.inbox(BOX), 30.0))
        joined = anyio.current_time() - 100.0
        await put(client, BOX, "a")
        # It was idle for long, so this message may be on its way.
        assert await sweeper.silent([Pulled(BOX, joined)]) == []
        began = anyio.current_time()

        async def told() -> bool:
            return await sweeper.silent([Pulled(BOX, joined)]) == [BOX]

        await wait_until(told, description="its silence is noticed")
        assert anyio.current_time() - began >= SILENCE - 0.05
        assert await sweeper.silent([Pulled(BOX, joined)]) == [], "told once, it has its time again"
        await consumer.stop()


async def test_what_delivers_or_has_nothing_to_deliver_is_left_alone(system: ActorSystem) -> None:
    """D-8: an empty mailbox, one that has just delivered, and one at its limit are as they should be."""
    full, empty = Mailbox("default", 0, "full"), Mailbox("default", 0, "empty")
    async with system:
        client, sweeper = system.client, sweeping(system.client)
        for box, limit in ((BOX, 0), (full, 1), (empty, 0)):
            spec = ConsumerSpec(box.consumer, client.namespace.inbox(box), 30.0, limit)
            consumer = await client.transport.consume(spec)
            if box is full:
                await put(client, box, "a", "b")
                consumer.grant(1)
                await consumer.receive()
        await put(client, BOX, "a")
        long_ago, gone = anyio.current_time() - 100.0, Mailbox("default", 0, "gone")

        async def told() -> bool:
            pulled = [
                Pulled(BOX, anyio.current_time()), Pulled(full, long_ago, 1), Pulled(empty, long_ago),
                Pulled(gone, long_ago),
            ]  # fmt: skip
            found = await sweeper.silent(pulled)
            assert set(found) <= {gone}
            return bool(found)

        # A consumer that was removed is nobody's: found in the end, and by then the others would have been.
        await wait_until(told, description="the consumer that is gone is noticed")
