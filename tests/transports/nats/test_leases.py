"""When leases are renewed and when they are lost, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, cast

import pytest

from actorq_nats import leases
from actorq_nats.iothread import Way
from actorq_nats.leases import Leases


class Broker:
    """Stands for connection and broker: keeps what is written, answers pings as long as it is there."""

    def __init__(self) -> None:
        self.link: object | None = object()
        self.written: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.written.append(line)


class Held:
    def __init__(self, reply: str, lease: float = 30.0) -> None:
        self.reply = reply
        self.lease = lease
        self.known = self.renewed = 0.0
        self.limit = inf
        self.losses = 0

    def lose(self) -> None:
        self.losses += 1


class Scene:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, lease: float = 30.0) -> None:
        self.now = 1_000.0
        self.answers = True
        self.broker = Broker()
        monkeypatch.setattr(leases, "clock", lambda: self.now)
        self.leases = Leases(cast("Any", self.broker), Way(_at_once))
        self.leases.expect(lease)
        self.beat()

    def beat(self) -> float:
        pause = self.leases.beat()
        if self.answers and self.broker.link is not None:
            self.leases.answered(self.now)
        return pause

    def run(self, seconds: float) -> None:
        """Beat as the session would."""
        end = self.now + seconds
        while self.now < end:
            self.now += min(self.beat(), end - self.now)
        self.beat()

    def take(self, reply: str, lease: float = 30.0) -> Held:
        held = Held(reply, lease)
        self.leases.hold(held)
        return held

    def lose_link(self) -> None:
        self.broker.link = None
        self.leases.disconnected()

    def find_link(self) -> None:
        self.broker.link = object()
        self.leases.connected()
        self.beat()

    def renewals(self, held: Held) -> int:
        return self.broker.written.count(f"PUB {held.reply}  4\r\n+WPI\r\n".encode())


def _at_once(call: Callable[[], None]) -> None:
    call()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_every_second_however_long_the_lease(scene: Scene) -> None:
    """Another worker may have made it shorter, down to a lease that one renewal a second still keeps."""
    held = scene.take("a")
    scene.run(61.0)
    assert 59 <= scene.renewals(held) <= 61
    assert held.losses == 0


def test_short_leases_make_the_beat_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease of 0.3 s is looked after three times in it, also beside long ones."""
    scene = Scene(monkeypatch, lease=0.3)
    held, long = scene.take("a", 0.3), scene.take("b", 30.0)
    scene.run(9.0)
    assert 85 <= scene.renewals(held) <= 95
    assert 8 <= scene.renewals(long) <= 10
    assert held.losses == 0


def test_acks_and_releases_end_it(scene: Scene) -> None:
    """Nothing is renewed or lost after either; only the ack is written."""
    acked, released = scene.take("a"), scene.take("b")
    scene.leases.ack(acked)
    scene.leases.release(released)
    scene.run(100.0)
    assert scene.broker.written == [b"PUB a  4\r\n+ACK\r\n"]
    assert acked.losses == released.losses == 0


def test_a_broker_that_does_not_answer_renews_nothing(scene: Scene) -> None:
    """Renewals that the broker is not known to have had do not count: the lease ends, once."""
    held = scene.take("a")
    scene.answers = False
    scene.run(29.9)
    assert held.losses == 0
    scene.run(0.2)
    assert held.losses == 1
    scene.answers = True
    scene.run(100.0)
    assert held.losses == 1


def test_a_stopped_process_finds_its_leases_lost(scene: Scene) -> None:
    """After a sleep longer than the lease nothing is renewed any more: it may be another's by now."""
    held = scene.take("a")
    scene.run(15.0)
    before = scene.renewals(held)
    scene.now += 40.0
    scene.beat()
    assert held.losses == 1
    assert scene.renewals(held) == before


def test_a_limit_ends_renewal_but_not_the_lease(scene: Scene) -> None:
    """At the limit renewal stops; the loss comes a lease after the last renewal."""
    held = scene.take("a")
    held.limit = scene.now + 15.0
    scene.run(15.0)
    before = scene.renewals(held)
    scene.run(28.0)
    assert (scene.renewals(held), held.losses) == (before, 0)
    scene.run(3.0)
    assert (scene.renewals(held), held.losses) == (before, 1)


def test_a_new_connection_begins_with_renewals(scene: Scene) -> None:
    """What was on its way is not known to have arrived, so everything is renewed at once."""
    held = scene.take("a")
    scene.run(12.0)
    before = scene.renewals(held)
    scene.lose_link()
    scene.run(10.0)
    assert scene.renewals(held) == before
    scene.find_link()
    assert scene.renewals(held) == before + 1
    scene.run(29.0)
    assert held.losses == 0


def test_an_outage_longer_than_the_lease_loses_it(scene: Scene) -> None:
    """Without a connection the clock alone decides; afterwards nothing is renewed."""
    held = scene.take("a")
    scene.lose_link()
    scene.run(30.1)
    assert held.losses == 1
    scene.find_link()
    assert scene.renewals(held) == 0


def test_acks_wait_for_a_connection(scene: Scene) -> None:
    """What is acknowledged without one is acknowledged when there is one again."""
    held = scene.take("a")
    scene.lose_link()
    scene.leases.ack(held)
    assert scene.broker.written == []
    scene.find_link()
    assert scene.broker.written == [b"PUB a  4\r\n+ACK\r\n"]


def test_arrivals_are_dated_by_the_last_answer(scene: Scene) -> None:
    """What arrives after a stop lay in the socket for as long: its lease began before the stop at the earliest."""
    scene.run(5.0)
    scene.now += 40.0
    held = scene.take("a")
    scene.leases.beat()
    assert held.losses == 1
