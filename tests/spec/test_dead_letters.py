"""Dead letters: semantics D-1, D-5, E-7, F-3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from actorq import ActorSystem, BrokerUnavailable, DeadLettered, Expired, Handle, RemoteError, Retry, Worker
from actorq.client import Client
from actorq.core.codec import decode_envelope, encode_dead, encode_envelope, encode_record
from actorq.core.ids import key_of, origin_of
from actorq.dead import DeadLetters, Filters, Letter
from actorq.model.address import Mailbox
from actorq.model.envelope import DeadLetter, Envelope, Record
from actorq.model.message import Confirmation, Failed, Message, Publication, Stored
from actorq.testing import wait_until
from tests.spec.conftest import MakeSystem

pytestmark = pytest.mark.anyio
ONCE = Retry(max_attempts=1)


class Charge:
    """An actor ``charge`` that raises until it is mended, and counts its runs."""

    def __init__(self, system: ActorSystem, **options: Any) -> None:
        self.mended = False
        self.runs = 0
        self.address = system.actor(name="charge", retry=ONCE, **options)(self._charge)

    async def _charge(self, order: int) -> str:
        self.runs += 1
        if not self.mended:
            raise LookupError(f"no card for {order}")
        return f"paid {order}"

    async def died(self, client: Client, order: int = 1, **options: Any) -> Handle[str]:
        handle = await self.address.options(**options).send(order)
        await letter_of(client, handle.id)
        return handle


async def letter_of(client: Client, task_id: str) -> Letter:
    """The one letter of a task, once it is there and its message is gone."""
    found: list[Letter] = []

    async def there() -> bool:
        found[:] = await DeadLetters(client).show(task_id)
        return bool(found) and await client.transport.get(client.namespace.copies("*", key_of(task_id))) is None

    await wait_until(there, description=f"the dead letter of {task_id}")
    assert len(found) == 1
    return found[0]


async def put(client: Client, *publications: Publication) -> None:
    answers = await client.transport.publish(publications, timeout=10.0)
    assert all(isinstance(answer, Stored) for answer in answers)


def client_over(transport: Any, system: ActorSystem) -> Client:
    return Client(transport, system.namespace, "abcdef")


async def ids(dead: DeadLetters, filters: Filters | None = None, limit: int | None = None) -> list[str]:
    return [letter.id async for letter in dead.each(filters, limit)]


# ---- reviving


async def test_a_revived_task_gives_its_value_to_whoever_awaits_it(make_system: MakeSystem) -> None:
    """F-3: after a fix, the original awaiter's handle gives the value, as does one of another program."""
    system, there = make_system(), make_system()
    charge = Charge(system)
    async with system, there:
        dead = DeadLetters(there.client)
        async with Worker(system):
            handle = await charge.died(system.client)
            other = there.handle(handle.id)
            for _ in range(2):
                with pytest.raises(LookupError, match="no card for 1"):
                    await handle
                with pytest.raises(RemoteError):
                    await other
        letter = await letter_of(system.client, handle.id)
        revival = await dead.retry(letter)
        assert (revival.outcome, revival.letter_left) == ("revived", False)
        assert await dead.show(handle.id) == []
        assert await handle.status() == "queued"
        charge.mended = True
        values: list[str] = []

        async def wait(claim: Handle[str]) -> None:
            values.append(await claim)

        async with anyio.create_task_group() as tasks:
            for claim in (handle, other, there.handle(handle.id)):
                tasks.start_soon(wait, claim)
            await anyio.wait_all_tasks_blocked()
            async with Worker(system):
                await wait_until(lambda: len(values) == 3, description="all that wait have the value")
        assert values == ["paid 1"] * 3
        assert (await handle, charge.runs) == ("paid 1", 2)


async def test_what_fails_again_dies_again(system: ActorSystem) -> None:
    """D-1, F-3: each revival is a generation of its own, with a letter of its own, also within the duplicate window."""
    charge = Charge(system)
    async with system, Worker(system):
        handle, dead = await charge.died(system.client), DeadLetters(system.client)
        for generation in range(3):
            letter = await letter_of(system.client, handle.id)
            assert decode_envelope(letter.content.envelope).generation == generation
            assert (await dead.retry(letter)).outcome == "revived"
        await letter_of(system.client, handle.id)
        with pytest.raises(LookupError):
            await handle
        assert charge.runs == 4


async def test_a_letter_says_all_that_is_needed(system: ActorSystem) -> None:
    """F-3: the original envelope, reason, error, traceback, attempts, worker and times."""
    charge = Charge(system, queue="payments")
    async with system, Worker(system) as worker:
        handle = await charge.died(system.client, 7)
        content = (await letter_of(system.client, handle.id)).content
        assert (content.actor, content.queue, content.reason) == ("charge", "payments", "retries_exhausted")
        assert (content.error, content.message, content.attempts) == ("LookupError", "no card for 7", 1)
        assert 'raise LookupError(f"no card for {order}")' in content.traceback
        assert decode_envelope(content.envelope).args == (7,)
        assert (content.worker, content.deliveries) == (worker.name, 1)
        assert 0 < content.first_at <= content.at <= system.client.transport.now() + 1.0


async def test_a_task_that_keeps_no_outcome_is_revived_too(system: ActorSystem) -> None:
    """F-3: there is no record to swap; the revived run leaves one, so that nothing runs twice (D-2)."""
    charge = Charge(system)
    async with system, Worker(system):
        handle = await charge.died(system.client, ignore_result=True)
        charge.mended = True
        assert (await DeadLetters(system.client).retry(await letter_of(system.client, handle.id))).outcome == "revived"
        await wait_until(lambda: charge.runs == 2, description="it runs")

        async def recorded() -> bool:
            record = await system.client.record(handle.id)
            return record is not None and (record.state, record.generation) == ("succeeded", 1)

        await wait_until(recorded, description="it is on record")


async def test_a_task_that_lost_its_workers_gets_a_new_crash_budget(system: ActorSystem) -> None:
    """D-5: five lost leases condemn it, and count no longer once it is revived."""
    charge = Charge(system)
    charge.mended = True
    async with system, Worker(system):
        box = Mailbox("default", 0, "charge")
        sent = Envelope(id="T1", to="charge", args=(1,), repeat=True, leases_lost=5, reply=60.0)
        await put(system.client, Publication(system.namespace.task(box, "T1"), encode_envelope(sent)))
        handle = system.handle("T1")
        with pytest.raises(DeadLettered, match="5 runs"):
            await handle
        letter = await letter_of(system.client, "T1")
        assert letter.content.reason == "crash_loop"
        await DeadLetters(system.client).retry(letter)
        assert await handle == "paid 1"


async def test_what_was_too_late_is_not_too_late_again(system: ActorSystem) -> None:
    """F-3, J-2: a revived task has neither the expiry that it missed nor a deadline that has passed."""
    charge = Charge(system)
    charge.mended = True
    async with system:
        late = await charge.address.options(expires="10ms").send(1)
        dead = await charge.address.options(deadline="10ms").send(2)
        due = system.client.transport.now() + 0.02
        await wait_until(lambda: system.client.transport.now() > due, description="both are late")
        async with Worker(system):
            with pytest.raises(Expired):
                await late
            for handle, value in ((late, "paid 1"), (dead, "paid 2")):
                await DeadLetters(system.client).retry(await letter_of(system.client, handle.id))
                assert await handle == value


async def test_a_part_of_a_canvas_goes_on_where_it_was(system: ActorSystem) -> None:
    """F-3: what continues it travels along, and its root's failure stands no longer either."""
    async with system:
        client, dead = system.client, DeadLetters(system.client)
        sent = Envelope(id="part", root="root", to="charge", args=(1,), frames=({"then": "next"},), reply=60.0)
        letter = DeadLetter(id="part", actor="charge", queue="q", reason="expired", envelope=encode_envelope(sent))
        records = [Record(id=name, state="failed") for name in ("part", "root")]
        await put(
            client,
            Publication(system.namespace.dead("q", "charge", "part"), encode_dead(letter)),
            *(Publication(system.namespace.result(origin_of(r.id), r.id), encode_record(r), ttl=60.0) for r in records),
        )
        await dead.retry((await dead.show("part"))[0])
        copy = await client.transport.get(system.namespace.task(Mailbox("q", 0, "charge"), "part"))
        assert copy is not None
        assert decode_envelope(copy.body) == replace(sent, generation=1, repeat=True)
        for name in ("part", "root"):
            record = await client.record(name)
            assert record is not None
            assert (record.state, record.generation) == ("retrying", 1)


async def test_a_failure_outlives_its_record_in_the_handle_that_has_it(system: ActorSystem) -> None:
    """E-7: a handle looks for a revival, and where there is nothing to be seen, keeps what it had."""
    charge = Charge(system, result_ttl="1s")
    async with system:
        async with Worker(system):
            handle = await charge.died(system.client)
            with pytest.raises(LookupError):
                await handle

        async def gone() -> bool:
            return await system.client.record(handle.id) is None

        await wait_until(gone, description="the record's time to live is over")
        with pytest.raises(LookupError):
            await handle
        await DeadLetters(system.client).retry(await letter_of(system.client, handle.id))
        charge.mended = True
        async with Worker(system):
            assert await handle == "paid 1"


# ---- twice, or at the wrong time


class Dying:
    """A transport over another one whose user vanishes before the n-th write, and never comes back."""

    def __init__(self, transport: Any, writes: int) -> None:
        self._transport, self._left = transport, writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise BrokerUnavailable("gone")

    async def publish(self, messages: Sequence[Publication], *, timeout: float) -> Sequence[Confirmation]:
        try:
            self._count()
        except BrokerUnavailable as error:
            return [Failed(error, permanent=True) for _ in messages]
        return list(await self._transport.publish(messages, timeout=timeout))

    async def delete(self, message: Message) -> bool:
        self._count()
        return bool(await self._transport.delete(message))


@pytest.mark.parametrize("runs_between", [False, True])
@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_a_revival_that_breaks_off_is_taken_up_again(
    system: ActorSystem, writes: int, runs_between: bool
) -> None:
    """F-3: after the mailbox's register, the copy, or the record: once more, and it is revived exactly once."""
    charge = Charge(system)
    async with system:
        async with Worker(system):
            handle = await charge.died(system.client)
        charge.mended = True
        letter = await letter_of(system.client, handle.id)
        transport = system.client.transport
        dying = client_over(Dying(transport, writes), system)
        with pytest.raises(BrokerUnavailable):
            await DeadLetters(dying).retry(letter)
        assert len(await DeadLetters(system.client).show(handle.id)) == 1
        if runs_between:
            async with Worker(system):
                if writes > 1:
                    await wait_until(lambda: charge.runs == 2, description="it runs")
        revival = await DeadLetters(system.client).retry(letter)
        assert revival.outcome == ("revived" if writes == 1 else "ended" if runs_between else "under way")
        assert await DeadLetters(system.client).show(handle.id) == []
        async with Worker(system):
            assert await handle == "paid 1"
            assert await system.handle(handle.id) == "paid 1"
        assert charge.runs == 2


async def test_two_that_revive_one_letter_revive_it_once(make_system: MakeSystem) -> None:
    """F-3: the second is told that it is under way, or has ended; there is one copy."""
    system, there = make_system(), make_system()
    charge = Charge(system)
    async with system, there:
        async with Worker(system):
            handle = await charge.died(system.client)
        charge.mended = True
        letter = await letter_of(system.client, handle.id)
        outcomes: list[str] = []

        async def revive(client: Client) -> None:
            outcomes.append((await DeadLetters(client).retry(letter)).outcome)

        async with anyio.create_task_group() as tasks:
            for client in (system.client, there.client, system.client):
                tasks.start_soon(revive, client)
        assert sorted(outcomes) == ["revived", "under way", "under way"]
        async with Worker(system):
            assert await handle == "paid 1"
            assert (await DeadLetters(there.client).retry(letter)).outcome == "ended"
        assert charge.runs == 2


async def test_a_task_whose_copy_is_still_there_is_not_revived(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-3: the copy that died is waited for, not for ever; another task of the same key is respected."""
    monkeypatch.setattr("actorq.dead.LEAVES_WITHIN", 0.2)
    charge, box = Charge(system), Mailbox("default", 0, "charge")
    async with system:
        async with Worker(system):
            handle = await charge.died(system.client)
        letter, dead = await letter_of(system.client, handle.id), DeadLetters(system.client)
        subject = system.namespace.task(box, handle.id)
        for other, generation, told in ((handle.id, 0, "the copy that died"), ("another", 1, "task another")):
            copy_there = Envelope(id=other, to="charge", generation=generation)
            await put(system.client, Publication(subject, encode_envelope(copy_there)))
            revival = await dead.retry(letter)
            assert (revival.outcome, revival.letter_left) == ("kept", True)
            assert told in revival.text
            copy = await system.client.transport.get(subject)
            assert copy is not None
            await system.client.transport.delete(copy)
        with pytest.raises(LookupError):
            await handle
        assert (await dead.retry(letter)).outcome == "revived"


class Leaving:
    """A transport over another one: the newest copy of a task goes as soon as somebody has seen it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def get(self, subject: str) -> Message | None:
        found: Message | None = await self._transport.get(subject)
        if found is not None and ".*." in subject:
            await self._transport.delete(found)
        return found


async def test_the_ack_of_the_copy_that_died_is_waited_for(system: ActorSystem) -> None:
    """F-3: whoever sees a failure at once may revive it at once."""
    charge = Charge(system)
    async with system:
        async with Worker(system):
            handle = await charge.died(system.client)
        letter = await letter_of(system.client, handle.id)
        subject = system.namespace.task(Mailbox("default", 0, "charge"), handle.id)
        await put(system.client, Publication(subject, letter.content.envelope))
        client = client_over(Leaving(system.client.transport), system)
        assert (await DeadLetters(client).retry(letter)).outcome == "revived"


@pytest.mark.parametrize("task_id", [None, "nightly"])
async def test_a_copy_that_has_come_and_gone_is_not_published_again(system: ActorSystem, task_id: str | None) -> None:
    """F-3: the copy of a generation has an id of its own, by which the broker knows it after it has gone."""
    charge = Charge(system)
    async with system, Worker(system):
        options: dict[str, Any] = {} if task_id is None else {"task_id": task_id}
        handle = await charge.died(system.client, 1, **options)
        elsewhere = system.namespace.task(Mailbox("default", 0, "elsewhere"), "x")
        await put(system.client, Publication(elsewhere, b"", msg_id=f"{handle.id}.g1"))
        revival = await DeadLetters(system.client).retry(await letter_of(system.client, handle.id))
        assert (revival.outcome, revival.letter_left) == ("under way", task_id is not None)
        assert charge.runs == 1


async def test_an_id_that_is_used_again_costs_no_letter(system: ActorSystem) -> None:
    """H-6: where a user gave the id, its record may be another call's: then nothing is revived and nothing removed."""
    charge = Charge(system)
    async with system, Worker(system):
        await charge.died(system.client, task_id="nightly")
        letter, dead = await letter_of(system.client, "nightly"), DeadLetters(system.client)
        body = encode_record(Record(id="nightly", state="succeeded", generation=1))
        await put(system.client, Publication(system.namespace.result("_", "nightly"), body, ttl=60.0))
        revival = await dead.retry(letter)
        assert (revival.outcome, revival.letter_left) == ("ended", True)
        assert len(await dead.show("nightly")) == 1


async def test_what_cannot_be_decoded_cannot_be_revived(system: ActorSystem) -> None:
    """F-3: it says so, and the letter stays until it is dropped."""
    Charge(system)
    async with system, Worker(system):
        subject = system.namespace.task(Mailbox("default", 0, "charge"), "broken")
        await put(system.client, Publication(subject, b"\xc1 no envelope"))
        letter, dead = await letter_of(system.client, "broken"), DeadLetters(system.client)
        revival = await dead.retry(letter)
        assert (revival.outcome, revival.letter_left) == ("kept", True)
        assert "cannot be decoded" in revival.text
        assert await dead.drop(letter)
        assert not await dead.drop(letter)
        assert await dead.show("broken") == []


# ---- finding


async def test_all_are_found_however_many(system: ActorSystem) -> None:
    """F-3: more than one answer of the broker holds, by any filter, oldest first; one that cannot be read as well."""
    async with system:
        client, dead = system.client, DeadLetters(system.client)
        letters = [
            DeadLetter(id=f"T{n}", actor="ab"[n % 2], queue="q", reason="expired", error=f"shop.E{n % 3}", at=1.0 + n)
            for n in range(1_100)
        ]
        await put(client, *(Publication(client.namespace.dead("q", x.actor, x.id), encode_dead(x)) for x in letters))
        await put(client, Publication(client.namespace.dead("q", "a", "odd"), b"\xc1"))
        every = [letter.id for letter in letters]

        async def complete() -> bool:
            return len(await ids(dead)) == 1_101

        await wait_until(complete, description="all are shown")
        assert await ids(dead, Filters(reason="expired")) == every
        assert await ids(dead, Filters(actor="b", error="E1", since=100.0, until=200.0)) == every[103:200:6]
        assert await ids(dead, limit=3) == every[:3]
        assert await ids(dead, Filters(error="E1"), limit=500) == every[1::3]
        assert await ids(dead, Filters(id="T7")) == ["T7"]
        assert [letter.content.reason async for letter in dead.each(Filters(id="odd"))] == ["undecodable"]


async def test_what_dies_meanwhile_is_left_out(system: ActorSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-3: reviving all there is comes to an end, though what is revived may die at once."""
    monkeypatch.setattr("actorq.dead.PAGE", 2)
    charge = Charge(system)
    async with system, Worker(system):
        dead = DeadLetters(system.client)
        for order in range(3):
            await charge.died(system.client, order)
        seen = 0
        async for letter in dead.each():
            assert (await dead.retry(letter)).outcome == "revived"
            seen += 1
            await letter_of(system.client, letter.id)
        assert (seen, len(await ids(dead)), charge.runs) == (3, 3, 6)
