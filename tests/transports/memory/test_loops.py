"""Several event loops at one broker, each on its own thread."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from uuid import uuid4

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from actorq.model.message import ConnectionSettings, ConsumerSpec, Expect, Message, Publication, Refused, Schedule
from actorq.testing import wait_until
from actorq_memory import MemoryTransport, connect, forget
from actorq_memory.transport import MemoryConsumer, MemoryDelivery

INBOX = "aq-test.t.default.0.actor"
SPEC = ConsumerSpec("c", f"{INBOX}.*", 0.1)


class Loop:
    """A thread with an event loop and a connection in it."""

    def __init__(self, portal: BlockingPortal, transport: MemoryTransport) -> None:
        self.portal = portal
        self.transport = transport

    def publish(self, *publications: Publication) -> list[object]:
        return list(self.portal.call(partial(self.transport.publish, publications, timeout=5.0)))

    def consume(self, credit: int) -> MemoryConsumer:
        consumer = self.portal.call(self.transport.consume, SPEC)
        self.portal.call(consumer.grant, credit)
        return consumer

    def take(self, consumer: MemoryConsumer, count: int) -> list[MemoryDelivery]:
        taken: list[MemoryDelivery] = []
        while len(taken) < count:
            taken += self.portal.call(consumer.receive)
        return taken


@pytest.fixture
def loops() -> Iterator[list[Loop]]:
    settings = ConnectionSettings(f"memory:{uuid4().hex}", "aq-test")
    with ExitStack() as stack:
        opened: list[Loop] = []
        for backend in ("asyncio", "trio", "asyncio", "trio"):
            portal = stack.enter_context(start_blocking_portal(backend))
            opened.append(Loop(portal, stack.enter_context(portal.wrap_async_context_manager(connect(settings)))))
        yield opened
    forget(settings.url)


def test_work_crosses_from_loop_to_loop(loops: list[Loop]) -> None:
    """What one loop publishes, the others take, each message once."""
    consumers = [loop.consume(100) for loop in loops[1:]]
    expected = [b"%d" % n for n in range(300)]
    for start in range(0, 300, 10):
        loops[0].publish(*(Publication(f"{INBOX}.{body.decode()}", body) for body in expected[start : start + 10]))
    taken = [loop.take(consumer, 100) for loop, consumer in zip(loops[1:], consumers, strict=True)]
    assert sorted(one.message.body for some in taken for one in some) == sorted(expected)


def test_a_sleeping_loop_wakes_for_what_another_has_planned(loops: list[Loop]) -> None:
    """A schedule fires in a loop that slept when it was made, though its own loop is gone."""
    consumer = loops[1].consume(1)
    due = loops[1].transport.now
    at = loops[1].portal.call(due) + 0.2
    loops[0].publish(Publication("aq-test.s.default.0.actor.a", b"", schedule=Schedule(f"{INBOX}.a", at=at)))
    for loop in (loops[0], loops[2], loops[3]):
        loop.portal.call(loop.transport.cut)
    (delivery,) = loops[1].take(consumer, 1)
    assert delivery.message.at >= at


def test_a_lost_lease_passes_to_another_loop(loops: list[Loop]) -> None:
    """The holder is told in its own loop, the next one gets the message in its."""
    loops[0].publish(Publication(f"{INBOX}.a", b"a"))
    (held,) = loops[0].take(loops[0].consume(1), 1)
    lost: Future[bool] = Future()
    loops[0].portal.call(held.keep, 0.05, lambda: lost.set_result(True))
    (again,) = loops[1].take(loops[1].consume(1), 1)
    assert again.deliveries == 2
    assert lost.result(timeout=5.0)


def test_passing_messages_cross_in_order(loops: list[Loop]) -> None:
    """A listener hears in its own loop what another loop sends, in order."""
    heard: list[Message] = []
    loops[1].portal.call(loops[1].transport.subscribe, "aq-test.e.*", heard.append, lambda: None)
    for n in range(100):
        loops[0].portal.call(loops[0].transport.notify, "aq-test.e.a", b"%d" % n)
    loops[1].portal.call(partial(wait_until, lambda: len(heard) == 100, description="all are heard"))
    assert [message.body for message in heard] == [b"%d" % n for n in range(100)]


def test_of_many_loops_one_wins(loops: list[Loop]) -> None:
    """Writers on four threads at once: for each subject exactly one message is stored."""

    async def write(loop: Loop) -> int:
        stored = 0
        for n in range(200):
            subject = f"aq-test.r.origin.{n}"
            (answer,) = await loop.transport.publish(
                [Publication(subject, b"", expect=Expect(0, subject))], timeout=5.0
            )
            stored += answer != Refused()
        return stored

    running = [loop.portal.start_task_soon(write, loop) for loop in loops]
    assert sum(future.result(timeout=30.0) for future in running) == 200
