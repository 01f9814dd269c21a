"""Messages that cannot be run, and messages that come twice: semantics A-4, D-1, D-2, D-5, F-3."""

from __future__ import annotations

import msgpack
import pytest

from actorq import ActorSystem, DeadLettered, Retry, Worker, WorkerOptions
from actorq.core.codec import decode_dead, encode_envelope, encode_record
from actorq.model.address import Mailbox
from actorq.model.envelope import DeadLetter, Envelope, Record
from actorq.model.message import Expect, Publication, Stored
from actorq.testing import wait_until

pytestmark = pytest.mark.anyio


async def put(system: ActorSystem, key: str, body: bytes, actor: str = "add") -> None:
    """As a foreign client would: straight onto the mailbox."""
    subject = system.namespace.task(Mailbox("default", 0, actor), key)
    (answer,) = await system.client.transport.publish([Publication(subject, body)], timeout=5)
    assert isinstance(answer, Stored)


async def dead_letter(system: ActorSystem, key: str, actor: str = "add") -> DeadLetter:
    subject = system.namespace.dead("default", actor, key)

    async def there() -> bool:
        return await system.client.transport.get(subject) is not None

    await wait_until(there, description=f"the dead letter of {key}")
    message = await system.client.transport.get(subject)
    assert message is not None
    return decode_dead(message.body)


def declare(system: ActorSystem) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []

    @system.actor
    async def add(a: int, b: int) -> int:
        runs.append((a, b))
        return a + b

    return runs


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "undecodable"),
        (b"\xc1 no messagepack", "undecodable"),
        (bytes(900_000), "undecodable"),
        (msgpack.packb({"v": 99, "id": "x", "to": "add"}), "undecodable"),
        (msgpack.packb([1, 2, 3]), "undecodable"),
        (encode_envelope(Envelope(id="x", to="other")), "undecodable"),
        (encode_envelope(Envelope(id="x", to="add.method", reply=60.0)), "unknown_method"),
        (encode_envelope(Envelope(id="x", to="add", args=("a", "b"), reply=60.0)), "bad_arguments"),
        (encode_envelope(Envelope(id="x", to="add", args=(1,), kwargs={"c": 1}, reply=60.0)), "bad_arguments"),
    ],
    ids=["empty", "garbage", "zeros", "newer", "no_map", "other_actor", "method", "wrong_type", "unknown_keyword"],
)
async def test_bad_messages_become_dead_letters(system: ActorSystem, body: bytes, reason: str) -> None:
    """F-3: what cannot be run is a dead letter with the original bytes, at once; the worker lives on."""
    runs = declare(system)
    async with system, Worker(system):
        await put(system, "x", body)
        letter = await dead_letter(system, "x")
        assert (letter.reason, letter.envelope) == (reason, body)
        assert letter.message
        with pytest.raises(DeadLettered) as caught:
            await system.handle("x")
        assert caught.value.reason == reason
        assert await system.ask("add", 1, 2) == 3
    assert runs == [(1, 2)]


async def test_a_failed_task_is_a_dead_letter_with_its_traceback(system: ActorSystem) -> None:
    """F-3: so does a task whose last attempt failed."""

    @system.actor(retry=Retry(max_attempts=1))
    async def fail(secret: str) -> None:
        raise ValueError("no")

    async with system, Worker(system):
        handle = await fail.send("s3cret")
        with pytest.raises(ValueError, match="no"):
            await handle
        letter = await dead_letter(system, handle.id, "fail")
    assert (letter.reason, letter.error, letter.message) == ("retries_exhausted", "ValueError", "no")
    assert "raise ValueError" in letter.traceback
    assert "s3cret" not in letter.traceback


async def test_a_repeat_of_a_finished_task_is_not_run(system: ActorSystem) -> None:
    """D-2: a message that says it may have run before looks first, and finds the record."""
    runs = declare(system)
    async with system:
        envelope = Envelope(id="twice", to="add", args=(1, 2), repeat=True, reply=60.0)
        subject = system.namespace.result("_", "twice")
        record = Publication(
            subject, encode_record(Record(id="twice", state="succeeded", value=99)), expect=Expect(0, subject)
        )
        await system.client.transport.publish([record], timeout=5)
        await put(system, "twice", encode_envelope(envelope))
        async with Worker(system):
            assert await system.ask("add", 5, 5) == 10
            assert await system.handle("twice") == 99

            async def gone() -> bool:
                return await system.client.transport.get(system.namespace.copies("add", "twice")) is None

            await wait_until(gone, description="the repeat is acknowledged")
    assert runs == [(5, 5)]


async def test_the_first_result_stands(system: ActorSystem) -> None:
    """D-1: a second outcome of one generation is refused; waiters see the first."""
    runs = declare(system)
    async with system:
        subject = system.namespace.result("_", "raced")
        record = Publication(
            subject, encode_record(Record(id="raced", state="succeeded", value=99)), expect=Expect(0, subject)
        )
        await system.client.transport.publish([record], timeout=5)
        await put(system, "raced", encode_envelope(Envelope(id="raced", to="add", args=(1, 2), reply=60.0)))
        async with Worker(system):
            assert await system.ask("add", 5, 5) == 10
            await wait_until(lambda: (1, 2) in runs, description="it runs: nothing told it to look")
        assert await system.handle("raced") == 99


async def test_too_many_lost_leases_are_a_crash_loop(system: ActorSystem) -> None:
    """D-5: a message that has cost its crash budget is dead, not run."""
    runs = declare(system)
    async with system, Worker(system, WorkerOptions(crash_budget=3)):
        await put(system, "bad", encode_envelope(Envelope(id="bad", to="add", args=(1, 2), leases_lost=3, repeat=True)))
        letter = await dead_letter(system, "bad")
        assert letter.reason == "crash_loop"
        await put(system, "ok", encode_envelope(Envelope(id="ok", to="add", args=(3, 4), leases_lost=2, reply=60.0)))
        assert await system.handle("ok") == 7
    assert runs == [(3, 4)]
