"""How a pull asks, accounts and opens anew; the broker here is the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from actorq.errors import ActorqError, BrokerUnavailable, ConfigError, PermissionDenied
from actorq.model.message import ConsumerSpec
from actorq.testing import wait_until
from actorq_nats import pull as module
from actorq_nats.link import Sink
from actorq_nats.pull import Pull
from actorq_nats.topology import ConsumerState

pytestmark = pytest.mark.anyio

SPEC = ConsumerSpec("default~0~actor", "aq-test.t.default.0.actor.*", 30.0)
NEXT = "$JS.API.CONSUMER.MSG.NEXT.tasks.default~0~actor"


@pytest.fixture
def anyio_backend() -> str:
    """The I/O loop is always asyncio's."""
    return "asyncio"


class Wire:
    """Stands for connection, consumer and application."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.link: object | None = object()
        self.user = "a user"
        self.state = ConsumerState(30.0)
        self.problems: list[ActorqError] = []
        self.revived = 0
        self.sinks: dict[int, Sink] = {}
        self.inboxes: list[str] = []
        self.asked: list[int] = []
        self.arrived = 0
        self.errors: list[ActorqError] = []
        self.pull = Pull(
            cast("Any", self), SPEC, "tasks", "inbox.",
            revive=self.revive, arrived=self.arrive, failed=self.errors.append,
        )  # fmt: skip

    # Connection

    def write(self, line: bytes) -> None:
        command, body = line.split(b"\r\n")[:2]
        assert command.split()[1:3] == [NEXT.encode(), self.inboxes[-1].encode()]
        self.asked.append(json.loads(body)["batch"])

    def subscribe(self, subject: str, sink: Sink) -> int:
        self.inboxes.append(subject)
        self.sinks[len(self.inboxes)] = sink
        return len(self.inboxes)

    def unsubscribe(self, sid: int) -> None:
        assert sid in self.sinks

    def forget(self, sid: int) -> None:
        del self.sinks[sid]

    def remove(self, _: object) -> None: ...
    async def round_trip(self) -> None: ...
    async def ready(self) -> None: ...

    # Consumer and application

    async def revive(self) -> ConsumerState:
        self.revived += 1
        if self.problems:
            raise self.problems.pop(0)
        return self.state

    def arrive(self, *_: bytes) -> None:
        self.arrived += 1

    # What the broker does

    async def deliver(self, count: int) -> None:
        for _ in range(count):
            self.sinks[len(self.inboxes)](b"s", b"$JS.ACK.tasks.c.1.1.1.1.0", b"", b"")
        await asyncio.sleep(0)

    async def tell(self, status: bytes) -> None:
        self.sinks[len(self.inboxes)](b"inbox", b"", b"", b"NATS/1.0 " + status + b"\r\n\r\n")
        await asyncio.sleep(0)

    async def grant(self, *granted: int) -> None:
        for credit in granted:
            self.pull.grant(credit)
        await asyncio.sleep(0)


@asynccontextmanager
async def opened() -> AsyncGenerator[Wire]:
    wire = Wire()
    wire.pull.open()
    yield wire
    await wire.pull.stop()


async def test_grants_of_one_turn_are_asked_for_together() -> None:
    """One request for all of them."""
    async with opened() as wire:
        await wire.grant(1, 2, 3)
        assert wire.asked == [6]


async def test_single_credits_wait_until_they_are_worth_a_request() -> None:
    """A quarter of what is outstanding, or the end of it."""
    async with opened() as wire:
        await wire.grant(8)
        await wire.deliver(1)
        await wire.grant(1)
        await wire.grant(1)
        assert wire.asked == [8]
        await wire.grant(1)
        assert wire.asked == [8, 3]
        await wire.deliver(10)
        await wire.grant(1)
        assert wire.asked == [8, 3, 1]


async def test_an_expired_request_is_made_again() -> None:
    """What the broker gives back is asked for anew, no more."""
    async with opened() as wire:
        await wire.grant(8)
        await wire.deliver(3)
        await wire.tell(b"100 Idle Heartbeat")
        await wire.tell(b"408 Request Timeout\r\nNats-Pending-Messages: 5\r\nNats-Pending-Bytes: 0")
        assert wire.asked == [8, 5]


@pytest.mark.parametrize(
    "status", [b"409 Leadership Change", b"409 Consumer Deleted", b"503", b"409 Exceeded MaxWaiting"]
)
async def test_other_ends_open_anew(status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another inbox, after a look whether the consumer exists, for the credit that is left."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    async with opened() as wire:
        await wire.grant(8)
        await wire.deliver(3)
        wire.problems.append(BrokerUnavailable("electing"))
        await wire.tell(status)
        await wait_until(lambda: len(wire.asked) == 2, description="it asks again")
        assert (wire.inboxes, wire.asked, wire.revived) == (["inbox.1", "inbox.2"], [8, 5], 2)
        assert list(wire.sinks) == [2]


async def test_a_consumer_that_cannot_be_made_ends_it() -> None:
    """The application is told once why."""
    async with opened() as wire:
        await wire.grant(1)
        await wire.deliver(1)
        wire.problems.append(ConfigError("another filter"))
        await wire.tell(b"409 Consumer Deleted")
        await wait_until(lambda: wire.errors, description="it is told")
        assert [str(error) for error in wire.errors] == ["another filter"]
        assert wire.asked == [1]


async def test_silence_opens_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither messages nor heartbeats although something is asked for."""
    async with opened() as wire:
        await wire.grant(2)
        wire.pull.beat()
        assert wire.inboxes == ["inbox.1"]
        monkeypatch.setattr(module, "SILENCE", -1.0)
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
        wire.pull.beat()
        await wait_until(lambda: len(wire.asked) == 2, description="it asks again")


async def looks(wire: Wire, before: Callable[[], object] = lambda: None) -> None:
    """Two looks at the consumer, half a minute apart."""
    for _ in range(2):
        revived = wire.revived
        wire.pull.beat()
        await wait_until(lambda revived=revived: wire.revived > revived, description="it has looked")  # type: ignore[misc]
        before()
    await asyncio.sleep(0)


@pytest.mark.parametrize("held_up", [True, False])
async def test_a_deaf_consumer_is_opened_anew(held_up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages wait, nothing keeps them, none has come between two looks: D-8. Idle is not deaf."""
    monkeypatch.setattr(module, "REFRESH", -1.0)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    async with opened() as wire:
        await wire.grant(2)
        wire.state = ConsumerState(30.0, held_up=held_up)
        await looks(wire)
        if held_up:
            await wait_until(lambda: len(wire.inboxes) == 2, description="it is opened anew")
        assert len(wire.inboxes) == 1 + held_up


async def test_a_consumer_that_delivers_is_not_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some delivery between two looks is enough."""
    monkeypatch.setattr(module, "REFRESH", -1.0)
    async with opened() as wire:
        await wire.grant(5)
        wire.state = ConsumerState(30.0, held_up=True)
        await looks(wire, before=lambda: wire.sinks[1](b"s", b"$JS.ACK.tasks.c.1.1.1.1.0", b"", b""))
        assert wire.inboxes == ["inbox.1"]


async def test_a_new_link_is_a_new_inbox() -> None:
    """All credit that is left is asked for again."""
    async with opened() as wire:
        await wire.grant(5)
        await wire.deliver(2)
        wire.pull.disconnected()
        wire.pull.connected()
        await wait_until(lambda: len(wire.asked) == 2, description="it asks again")
        assert (wire.inboxes[-1], wire.asked) == ("inbox.2", [5, 3])


async def test_a_denial_ends_it() -> None:
    """Of its own requests only."""
    async with opened() as wire:
        assert not wire.pull.denied("publish", "$js.api.consumer.msg.next.tasks.default~0~other")
        assert wire.errors == []
        assert wire.pull.denied("publish", NEXT.lower())
        assert [type(error) for error in wire.errors] == [PermissionDenied]


async def test_a_stopped_pull_asks_no_more() -> None:
    """Whatever comes."""
    async with opened() as wire:
        await wire.grant(1)
        await wire.pull.stop()
        await wire.grant(5)
        wire.pull.connected()
        wire.pull.beat()
        await asyncio.sleep(0)
        assert (wire.asked, wire.revived, wire.sinks) == ([1], 0, {})
