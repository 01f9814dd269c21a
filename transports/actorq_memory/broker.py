"""The broker of one namespace: stores, schedules, durable consumers and passing messages, shared by its connections.

It imitates JetStream where a caller can tell: the order of checks, what survives, who sees what. It knows no event
loop: connections call it from any thread, one at a time, and it reaches them through their ``Line``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from actorq.errors import ConfigError, TransportError
from actorq.model.message import (
    Confirmation,
    ConsumerSpec,
    Failed,
    Message,
    Publication,
    Refused,
    Schedule,
    Stored,
    StreamSettings,
)

from actorq_memory.admission import Kind, kind_of, objection
from actorq_memory.clock import BrokerClock
from actorq_memory.durable import Durable, Lease, Member
from actorq_memory.line import Line
from actorq_memory.store import Store
from actorq_memory.subjects import FilterIndex, overlap
from actorq_memory.timers import Timer, Timers

SCAN_LIMIT = 1_024
_TICK = 1e-6
"""Seconds that a sleeper adds, so that rounding does not wake it just before a due time."""


@dataclass(slots=True, eq=False)
class Listener:
    """One subscription to passing messages."""

    line: Line
    pattern: str
    receive: Callable[[Message], None]


class Broker:
    """The state of one namespace. Every public method may be called from any loop that has a line to it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.RLock()
        self._clock = BrokerClock()
        self._timers = Timers()
        self._window = StreamSettings().duplicate_window
        self._stores = {Kind.TASKS: Store(), Kind.RESULTS: Store(single=True), Kind.DEAD: Store()}
        self._expiries: dict[tuple[Store, int], Timer] = {}
        self._schedules: dict[int, Timer] = {}
        self._durables: dict[str, Durable] = {}
        self._routes: FilterIndex[Durable] = FilterIndex()
        self._listeners: dict[Listener, None] = {}
        self._audience: FilterIndex[Listener] = FilterIndex()
        self._lines: dict[Line, None] = {}

    # Connections and time

    def open(self, streams: StreamSettings) -> Line:
        """A new connection, from the loop that it belongs to. Newer settings hold for what is stored from now on."""
        with self._lock:
            line = Line(self._clock.enter())
            self._lines[line] = None
            if streams.manage == "create":
                self._window = streams.duplicate_window
                self._stores[Kind.RESULTS].age = streams.result_ttl
                self._stores[Kind.DEAD].age = streams.dead_ttl
        return line

    def close(self, line: Line) -> None:
        """A connection ends: its credit and subscriptions are gone, what it holds is left to the leases."""
        with self._turn(line) as now:
            self._detach(line, now)

    def now(self, line: Line) -> float:
        with self._lock:
            return self._clock.read(line.clock)

    def rest(self, line: Line) -> float:
        """Do what is due; return for how many seconds this connection may sleep unless it is rung."""
        with self._turn(line) as now:
            line.until = self._timers.next
            return line.until - now + _TICK

    @contextmanager
    def _turn(self, line: Line) -> Iterator[float]:
        with self._lock:
            now = self._clock.read(line.clock)
            try:
                while (action := self._timers.pop(now)) is not None:
                    action(now)
                yield now
            finally:
                for gone in [line for line in self._lines if line.gone]:
                    self._detach(gone, now)
                for sleeper in self._lines:
                    if sleeper.until > self._timers.next:
                        sleeper.ring()

    def _detach(self, line: Line, now: float) -> None:
        if line not in self._lines:
            return
        del self._lines[line]
        for listener in [listener for listener in self._listeners if listener.line is line]:
            self.unsubscribe(listener)
        for durable in list(self._durables.values()):
            for member in [member for member in durable.members if member.line is line]:
                self._leave(durable, member, now)
            durable.abandon(line, now)

    # Storing and reading

    def publish(self, line: Line, publications: Sequence[Publication]) -> list[Confirmation]:
        with self._turn(line) as now:
            return [self._publish(publication, now) for publication in publications]

    def _publish(self, publication: Publication, now: float) -> Confirmation:
        subject, expect, msg_id = publication.subject, publication.expect, publication.msg_id
        problem = objection(self._prefix, publication)
        store = self._store(subject)
        if problem is not None or store is None:
            return Failed(TransportError(problem or "", subject=subject), permanent=True)
        # As on JetStream, whoever listens to the subject itself sees it before anybody decides about storing it.
        self._pass_on(Message(subject, publication.body, publication.headers))
        if expect is not None and store.newest(expect.subject) != expect.sequence:
            return Refused()
        if msg_id is not None:
            known = store.seen(msg_id, now - self._window)
            if known is not None:
                return Stored(known, duplicate=True)
        message = self._add(store, publication, now)
        if msg_id is not None:
            store.remember(msg_id, message)
        return Stored(message.sequence)

    def _store(self, subject: str) -> Store | None:
        kind = kind_of(self._prefix, subject)
        return None if kind is None else self._stores[kind]

    def _add(self, store: Store, publication: Publication, now: float) -> Message:
        message = store.add(publication, now)
        schedule, sequence = publication.schedule, message.sequence
        for older in store.older(message):
            # Any later message on a holder's subject ends its schedule.
            self._timers.withdraw(self._schedules.pop(older, None) if store is self._stores[Kind.TASKS] else None)
            if store.single or publication.replace or schedule is not None:
                self._remove(store, older, now)
        ttl = store.age if publication.ttl is None else publication.ttl
        if ttl is not None:
            expire: Callable[[float], object] = partial(self._remove, store, sequence)
            self._expiries[store, sequence] = self._timers.add(now + ttl, expire)
        if schedule is not None:
            self._hold(message, schedule, now if schedule.every is None else now + schedule.every, now)
        self._announce(message)
        if store is self._stores[Kind.TASKS]:
            for durable in self._routes.find(message.subject):
                durable.arrive(sequence, now)
        return message

    def _remove(self, store: Store, sequence: int, now: float) -> bool:
        message = store.remove(sequence)
        if message is None:
            return False
        self._timers.withdraw(self._expiries.pop((store, sequence), None))
        if store is self._stores[Kind.TASKS]:
            self._timers.withdraw(self._schedules.pop(sequence, None))
            for durable in self._routes.find(message.subject):
                durable.forget(sequence, now)
        return True

    def _hold(self, message: Message, schedule: Schedule, due: float, now: float) -> None:
        due = due if schedule.at is None else max(schedule.at, now)
        self._schedules[message.sequence] = self._timers.add(due, partial(self._fire, message, schedule, due))

    def _fire(self, message: Message, schedule: Schedule, due: float, now: float) -> None:
        store = self._stores[Kind.TASKS]
        if schedule.every is None:
            self._remove(store, message.sequence, now)
        else:
            # What was missed while time stood still is not made up for.
            following = due + schedule.every
            self._hold(message, schedule, following if following > now else now + schedule.every, now)
        self._add(store, Publication(schedule.target, message.body, message.headers), now)

    def _announce(self, message: Message) -> None:
        prefix, kind, rest = message.subject.split(".", 2)
        if kind in ("r", "x"):
            subject = f"{prefix}.n.{rest}" if kind == "r" else f"{prefix}.n.x.{rest}"
            self._pass_on(Message(subject, message.body, message.headers, message.sequence, message.at))

    def get(self, line: Line, pattern: str) -> Message | None:
        with self._turn(line):
            store = self._store(pattern)
            return None if store is None else store.message(store.newest(pattern))

    def scan(self, line: Line, pattern: str) -> list[Message]:
        with self._turn(line):
            store = self._store(pattern)
            return [] if store is None else store.newest_of_each(pattern)[:SCAN_LIMIT]

    def delete(self, line: Line, message: Message) -> bool:
        with self._turn(line) as now:
            store = self._store(message.subject)
            stored = None if store is None else store.message(message.sequence)
            if store is None or stored is None or stored.subject != message.subject:
                return False
            return self._remove(store, message.sequence, now)

    # Passing messages

    def notify(self, line: Line, subject: str, body: bytes) -> None:
        with self._turn(line):
            self._pass_on(Message(subject, body))

    def _pass_on(self, message: Message) -> None:
        for listener in self._audience.find(message.subject):
            listener.line.post(partial(listener.receive, message))

    def subscribe(self, listener: Listener) -> None:
        with self._lock:
            self._listeners[listener] = None
            self._audience.add(listener.pattern, listener)

    def unsubscribe(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.pop(listener, None)
            self._audience.remove(listener.pattern, listener)

    # Consumers

    def consume(self, line: Line, spec: ConsumerSpec, hand: Callable[[Lease], None]) -> tuple[Durable, Member]:
        """Create or join; the newer lease, limit and idle time hold for all."""
        with self._turn(line) as now:
            durable = self._durables.get(spec.name)
            if durable is None:
                durable = self._create(spec)
            elif durable.spec.filter != spec.filter:
                raise ConfigError(
                    f"consumer {spec.name} with filter {spec.filter} cannot be made: consumer {spec.name} already has "
                    f"filter {durable.spec.filter}; remove that consumer or give this mailbox another name"
                )
            else:
                durable.update(spec, now)
            self._timers.withdraw(durable.idle)
            member = Member(line, hand)
            durable.members.append(member)
            return durable, member

    def _create(self, spec: ConsumerSpec) -> Durable:
        if kind_of(self._prefix, spec.filter) is not Kind.TASKS:
            raise ConfigError(f"consumer {spec.name} has the filter {spec.filter}, which is not in the task store")
        for other in self._durables.values():
            if overlap(spec.filter, other.spec.filter):
                raise ConfigError(
                    f"consumer {spec.name} with filter {spec.filter} cannot be made: consumer {other.spec.name} with "
                    f"filter {other.spec.filter} takes some of the same messages; remove one of the two"
                )
        store = self._stores[Kind.TASKS]
        durable = self._durables[spec.name] = Durable(spec, store, self._timers)
        durable.wait(store.waiting(spec.filter))
        self._routes.add(spec.filter, durable)
        return durable

    def withdraw(self, line: Line, durable: Durable, member: Member) -> None:
        """This member takes no more; what it holds it keeps."""
        with self._turn(line) as now:
            self._leave(durable, member, now)

    def _leave(self, durable: Durable, member: Member, now: float) -> None:
        member.credit = 0
        if member in durable.members:
            durable.members.remove(member)
        if not durable.members:
            self._timers.withdraw(durable.idle)
            durable.idle = self._timers.add(now + durable.spec.idle, partial(self._retire, durable))

    def _retire(self, durable: Durable, _now: float) -> None:
        del self._durables[durable.spec.name]
        self._routes.remove(durable.spec.filter, durable)
        durable.end()

    def grant(self, line: Line, durable: Durable, member: Member, credit: int) -> None:
        with self._turn(line) as now:
            if member in durable.members:
                member.credit += credit
                durable.deal(now)

    def keep(self, line: Line, durable: Durable, lease: Lease, limit: float, lost: Callable[[], None] | None) -> None:
        """Renew for ``limit`` seconds from now."""
        with self._turn(line) as now:
            durable.keep(lease, now + limit, lost, now)

    def ack(self, line: Line, sequence: int) -> None:
        """Remove the message, whoever holds it by now."""
        with self._turn(line) as now:
            self._remove(self._stores[Kind.TASKS], sequence, now)
