"""What workers know of cancelled tasks, and what becomes of a cancelled message that has a continuation (I-11)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from actorq import ActorSystem, Cancelled, Worker
from actorq.cancelling import cancel
from actorq.core.codec import decode_envelope, pack
from actorq.core.ids import make_id
from actorq.model.address import Mailbox
from actorq.model.envelope import Envelope
from actorq.model.message import Publication, Stored
from actorq.outbox import Outgoing
from actorq.runtime import cancelled
from actorq.runtime.cancelled import CancelledSet
from actorq.testing import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.broker)])
def system(request: pytest.FixtureRequest) -> ActorSystem:
    return ActorSystem(f"cancel-{uuid.uuid4().hex[:8]}", transport=request.getfixturevalue(f"actorq_{request.param}"))


def fresh_id(system: ActorSystem) -> str:
    return make_id(system.client.transport.now(), uuid.uuid4().int % 2**65, system.client.origin)


def knows(known: CancelledSet, task_id: str, stored_at: float = 0.0, *, root: str = "") -> bool:
    return known.is_cancelled(Envelope(id=task_id, to="actor", root=root or task_id), stored_at)


async def tell(system: ActorSystem, task_id: str, **details: float) -> None:
    notice = Publication(system.namespace.cancel(task_id), pack({"v": 1, **details}), ttl=60.0, replace=True)
    (answer,) = await system.client.transport.publish([notice], timeout=5.0)
    assert isinstance(answer, Stored)


class Deaf:
    """A transport that loses every announcement, and tells of it when asked to."""

    def __init__(self, system: ActorSystem) -> None:
        self._transport = system.client.transport
        self.gap: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def subscribe(self, subject: str, _: Any, gap: Callable[[], None]) -> Any:
        self.gap = gap
        return await self._transport.subscribe(subject, lambda _: None, gap)


@asynccontextmanager
async def listening(system: ActorSystem, told: list[str], transport: Any = None) -> AsyncGenerator[CancelledSet]:
    known = CancelledSet(transport or system.client.transport, system.namespace, told.append)
    async with anyio.create_task_group() as tasks:
        await tasks.start(known.run)
        yield known
        tasks.cancel_scope.cancel()


async def test_what_is_stored_is_known_at_the_start_and_the_rest_is_heard(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are; of each cancellation it tells once."""
    monkeypatch.setattr(cancelled, "PAGE", 2)
    told: list[str] = []
    async with system:
        ids = [fresh_id(system) for _ in range(6)]
        for task_id in ids[:5]:
            await tell(system, task_id, at=1.0)
        async with listening(system, told) as known:
            assert told == ids[:5]
            assert all(knows(known, task_id) for task_id in ids[:5])
            assert knows(known, "part", root=ids[0])
            assert not knows(known, ids[5])
            await tell(system, ids[5])
            await wait_until(lambda: knows(known, ids[5]), description="the sixth is heard of")
            await tell(system, ids[0], at=1.0)
            await tell(system, ids[0], at=2.0)
            await wait_until(
                lambda: told == [*ids, ids[0]], description="a later cancellation is news, the same is not"
            )


async def test_what_was_missed_is_read_after_a_gap(system: ActorSystem) -> None:
    """After a lost connection the whole set is read again, and what is new is told."""
    told: list[str] = []
    async with system:
        deaf, (first, second) = Deaf(system), (fresh_id(system), fresh_id(system))
        await tell(system, first, at=1.0)
        async with listening(system, told, deaf) as known:
            await tell(system, second, at=1.0)
            deaf.gap()
            await wait_until(lambda: knows(known, second), description="the second is read")
    assert told == [first, second]


async def test_it_forgets_in_time(system: ActorSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can come no more needs no memory; what nobody can read is kept for as long as any."""
    monkeypatch.setattr(cancelled, "SWEEP", 0.02)
    async with system:
        brief, long, odd = (fresh_id(system) for _ in range(3))
        async with listening(system, []) as known:
            now = system.client.transport.now()
            await tell(system, odd, until=float("nan"))
            await tell(system, long, at=now, until=now + 60)
            await tell(system, brief, at=now, until=now + 0.05)
            await wait_until(lambda: knows(known, brief), description="it is heard of")
            await wait_until(lambda: not knows(known, brief), description="it is forgotten")
            assert knows(known, long)
            assert knows(known, odd)


async def test_an_id_of_the_users_is_of_the_copies_of_before(system: ActorSystem) -> None:
    """Who gives the same id again later means another task."""
    async with system:
        await tell(system, "nightly", at=100.0)
        async with listening(system, []) as known:
            assert knows(known, "nightly", 99.0)
            assert not knows(known, "nightly", 101.0)


# ---- messages with a continuation


async def send_with_frames(system: ActorSystem, delay: float | None = None) -> str:
    """A message such as later versions send: what continues it has to hear of its end."""
    task_id, now = fresh_id(system), system.client.transport.now()
    envelope = Envelope(id=task_id, to="never", root=task_id, reply=60.0, frames=("later",))
    at = None if delay is None else now + delay
    await system.client.outbox.send([Outgoing(Mailbox("default", 0, "never"), envelope, at)], 5.0)
    return task_id


@pytest.mark.parametrize("delay", [None, 3_600.0])
async def test_what_has_a_continuation_is_delivered_and_not_run(system: ActorSystem, delay: float | None) -> None:
    """I-11, J-4: it stays, moved to now if it was due later, and is unwound by a worker, also one that starts later."""

    @system.actor
    async def never() -> None:
        raise AssertionError("it must not run")

    async with system:
        task_id = await send_with_frames(system, delay)
        copies = system.namespace.copies("*", task_id)
        assert await cancel(system.client, task_id)
        waiting = await system.client.transport.get(copies)
        assert waiting is not None
        assert decode_envelope(waiting.body).repeat == (delay is not None)

        async def gone() -> bool:
            return await system.client.transport.get(copies) is None

        async with Worker(system):
            await wait_until(gone, description="it is unwound")
        with pytest.raises(Cancelled):
            await system.handle(task_id)
        assert not await cancel(system.client, task_id)
