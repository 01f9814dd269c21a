"""What a driver's author gives the suite, and the words in which its tests are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import pytest

from actorq.model.address import Mailbox, Namespace
from actorq.model.message import Confirmation, ConnectionSettings, ConsumerSpec, Publication, Stored
from actorq.ports.transport import Consumer, Delivery, Transport
from actorq.testing.waiting import wait_until

PATIENCE = 15.0
"""Seconds in which whatever has to happen happens, unless a test says otherwise."""
LONG = 60.0
"""Seconds: a lease that does not run out within a test."""

BOX = Mailbox("default", 0, "actor")
ELSEWHERE = Mailbox("default", 0, "other")
CLOCK = Mailbox("default", 0, "clock")


class Harness(Protocol):
    """One running broker, as a test reaches it. Given by a fixture named ``harness`` of any scope."""

    @property
    def lease(self) -> float:
        """Seconds: a short lease that the broker keeps reliably (about 1 where time is real)."""
        ...

    def settings(self) -> ConnectionSettings:
        """For a namespace that nobody has used before."""
        ...

    def connect(self, settings: ConnectionSettings) -> Transport:
        """An unopened transport, as the driver's entry point gives it."""
        ...

    async def lose(self, transport: Transport) -> None:
        """Cut an open transport off, as if its process had been killed: no ack, no renewal, no goodbye from now on.

        What it has sent before has taken effect. Leaving its ``async with`` block later must end quietly.
        """
        ...


class RestartHarness(Harness, Protocol):
    """A harness whose broker can die."""

    def outage(self) -> AbstractAsyncContextManager[None]:
        """The broker is killed hard on the way in and runs again, at the same place with its data, on the way out.

        Transports that are open stay open and find their way back by themselves.
        """
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where one test happens: a namespace of its own on the harness's broker."""

    harness: Harness
    settings: ConnectionSettings
    names: Namespace

    @classmethod
    def at(cls, harness: Harness) -> Place:
        """A new one."""
        settings = harness.settings()
        return cls(harness, settings, Namespace(settings.prefix))

    @property
    def lease(self) -> float:
        return self.harness.lease

    def connect(self) -> Transport:
        """One more connection, unopened."""
        return self.harness.connect(self.settings)

    def task(self, key: str, body: bytes = b"", *, box: Mailbox = BOX, **more: Any) -> Publication:
        """A message to a mailbox; ``more`` are fields of Publication."""
        return Publication(self.names.task(box, key), body, **more)

    def spec(self, box: Mailbox = BOX, *, lease: float | None = None, max_held: int = 0) -> ConsumerSpec:
        """The consumer of a mailbox, with the harness's short lease unless told."""
        return ConsumerSpec(box.consumer, self.names.inbox(box), self.lease if lease is None else lease, max_held)


class SuiteFixtures:
    """A place and two connections to it, for every test."""

    @pytest.fixture
    def place(self, harness: Harness) -> Place:
        return Place.at(harness)

    @pytest.fixture
    async def transport(self, place: Place) -> AsyncIterator[Transport]:
        async with place.connect() as opened:
            yield opened

    @pytest.fixture
    async def other(self, place: Place) -> AsyncIterator[Transport]:
        async with place.connect() as opened:
            yield opened


async def store(transport: Transport, *publications: Publication) -> list[int]:
    """Publish what must be stored; the sequences."""
    answers = await transport.publish(publications, timeout=PATIENCE)
    assert all(isinstance(answer, Stored) for answer in answers), answers
    return [answer.sequence for answer in answers if isinstance(answer, Stored)]


async def publish(transport: Transport, publication: Publication) -> Confirmation:
    """The confirmation of one message."""
    (answer,) = await transport.publish([publication], timeout=PATIENCE)
    return answer


async def lacks(transport: Transport, subject: str) -> bool:
    """Whether nothing is stored there."""
    return await transport.get(subject) is None


async def gone(transport: Transport, subject: str) -> None:
    """Wait until nothing is stored there."""
    await wait_until(lambda: lacks(transport, subject), description=f"nothing is stored on {subject}")


async def rival(transport: Transport, place: Place, credit: int = 1) -> Consumer:
    """Another worker's consumer of BOX, waiting."""
    consumer = await transport.consume(place.spec())
    consumer.grant(credit)
    return consumer


async def take(consumer: Consumer, count: int, *, timeout: float = PATIENCE) -> list[Delivery]:
    """Receive until ``count`` deliveries are there; more than that is a failure."""
    taken: list[Delivery] = []
    with anyio.fail_after(timeout):
        while len(taken) < count:
            taken += await consumer.receive()
    assert len(taken) == count, f"{len(taken)} deliveries in place of {count}"
    return taken


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    return [delivery.message.body for delivery in deliveries]
