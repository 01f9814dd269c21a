"""The broker of one namespace: stores, schedules, durable consumers and passing messages, shared by its connections.

It imitates JetStream where a caller can tell: the order of checks, what survives, who sees what. It knows no event
loop: connections call it from any thread, one at a time, and it reaches them through their ``Line``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from actorq.errors import ConfigError, TransportError
from actorq.model.message import (
    Backlog,
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
from actorq_memory.admission import HOLDERS, Kind, kind_of, objection
from actorq_memory.clock import Agenda, BrokerClock
from actorq_memory.durable import Durable, Lease, Member
from actorq_memory.line import Line
from actorq_memory.store import Store
from actorq_memory.subjects import matches, overlap

SCAN_LIMIT = 1_024


@dataclass(slots=True, eq=False)
class Listener:
    """One subscription to passing messages."""

    line: Line
    pattern: str
    receive: Callable[[Message], None]


class Broker:
    """Every public method is to be called in the event loop of a connection, whichever it is."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.RLock()
        self._clock = BrokerClock()
        self._agenda = Agenda()
        self._window = StreamSettings().duplicate_window
        self._tasks = Store()
        self._stores = {Kind.TASKS: self._tasks, Kind.RESULTS: Store(single=True), Kind.DEAD: Store()}
        self._durables: dict[str, Durable] = {}
        self._listeners: dict[Listener, None] = {}
        self._lines: dict[Line, None] = {}

    # Connections and time

    def open(self, streams: StreamSettings) -> Line:
        """A new connection, from the loop that it belongs to. Newer settings hold for what is stored from now on."""
        with self._turn():
            if streams.manage == "create":
                self._window = streams.duplicate_window
                self._stores[Kind.RESULTS].age = streams.result_ttl
                self._stores[Kind.DEAD].age = streams.dead_ttl
            for other in self._lines:
                other.probe()
            line = Line(self.now, self._look)
            self._lines[line] = None
            return line

    def close(self, line: Line) -> None:
        """A connection ends: its credit and subscriptions are gone, what it holds is left to the leases."""
        with self._turn() as now:
            self._drop(line, now)
            line.end()

    def _drop(self, line: Line, now: float) -> None:
        self._lines.pop(line, None)
        self._listeners = {listener: None for listener in self._listeners if listener.line is not line}
        for durable in self._durables.values():
            for member in [member for member in durable.members if member.line is line]:
                self._leave(durable, member, now)
            durable.abandon(line, now)

    def now(self) -> float:
        with self._lock:
            return self._clock.now()

    def _look(self, line: Line) -> None:
        with self._lock:
            line.looked()
            with self._turn():
                pass  # a turn does what is due

    @contextmanager
    def _turn(self) -> Generator[float, None, None]:
        with self._lock:
            now = self._clock.now()
            for line in [line for line in self._lines if line.lost]:
                # Its loop was torn down around the open connection: nobody renews what it holds.
                self._drop(line, now)
            self._agenda.run(now)
            yield now
            for line in self._lines:
                line.expect(self._agenda.next)

    # Storing and reading

    def publish(self, publications: Sequence[Publication]) -> list[Confirmation]:
        with self._turn() as now:
            return [self._publish(publication, now) for publication in publications]

    def _publish(self, publication: Publication, now: float) -> Confirmation:
        subject, expect, msg_id = publication.subject, publication.expect, publication.msg_id
        problem, store = objection(self._prefix, publication), self._store(subject)
        if problem is not None or store is None:
            return Failed(TransportError(problem or "", subject=subject), permanent=True)
        # As on JetStream, whoever listens to the subject itself sees it before anybody decides about storing it.
        self._pass_on(Message(subject, publication.body, publication.headers))
        if expect is not None:
            newest = store.newest(expect.subject)
            if expect.sequence != (0 if newest is None else newest.sequence):
                return Refused()
        if msg_id is not None and (known := store.seen(msg_id, now - self._window)) is not None:
            return Stored(known, duplicate=True)
        message = self._add(store, publication, now)
        if msg_id is not None:
            store.remember(msg_id, message)
        return Stored(message.sequence)

    def _store(self, subject: str) -> Store | None:
        kind = kind_of(self._prefix, subject)
        return None if kind is None else self._stores[kind]

    def _add(self, store: Store, publication: Publication, now: float) -> Message:
        message, schedule = store.add(publication, now), publication.schedule
        sequence, kind = message.sequence, message.subject.split(".", 2)[1]
        if store.single or publication.replace or kind == HOLDERS:
            for older in list(store.matching(message.subject))[1:]:
                self._remove(store, older.sequence)
        ttl = store.age if publication.ttl is None else publication.ttl
        if ttl is not None:
            self._agenda.add(now + ttl, lambda _now: self._remove(store, sequence))
        if schedule is not None:
            due = now + schedule.every if schedule.every is not None else schedule.at
            assert due is not None, "a cron expression is refused"
            self._agenda.add(due, partial(self._fire, sequence, schedule))
        self._announce(kind, message)
        if store is self._tasks:
            for durable in self._takers(message.subject):
                durable.arrive(sequence)
        return message

    def _remove(self, store: Store, sequence: int) -> bool:
        message = store.remove(sequence)
        if message is not None and store is self._tasks:
            for durable in self._takers(message.subject):
                durable.forget(sequence)
        return message is not None

    def _takers(self, subject: str) -> list[Durable]:
        return [durable for durable in self._durables.values() if matches(durable.spec.filter, subject)]

    def _fire(self, sequence: int, schedule: Schedule, now: float) -> None:
        message = self._tasks.message(sequence)
        if message is None:
            return  # cancelled or replaced
        if schedule.every is None:
            self._remove(self._tasks, sequence)
        else:
            # What was missed while time stood still is not made up for.
            self._agenda.add(now + schedule.every, partial(self._fire, sequence, schedule))
        self._add(self._tasks, Publication(schedule.target, message.body, message.headers), now)

    def _announce(self, kind: str, message: Message) -> None:
        if kind in ("r", "x"):
            subject = ".".join([self._prefix, "n", *message.subject.split(".")[-2:]])
            self._pass_on(Message(subject, message.body, message.headers, message.sequence, message.at))

    def get(self, pattern: str) -> Message | None:
        with self._turn():
            store = self._store(pattern)
            return None if store is None else store.newest(pattern)

    def scan(self, pattern: str) -> list[Message]:
        with self._turn():
            store = self._store(pattern)
            return [] if store is None else store.newest_of_each(pattern)[:SCAN_LIMIT]

    def browse(self, pattern: str, after: int, limit: int) -> list[Message]:
        with self._turn():
            store = self._store(pattern)
            return [] if store is None else store.oldest(pattern, after, limit)

    def delete(self, message: Message) -> bool:
        with self._turn():
            store = self._store(message.subject)
            return store is not None and self._remove(store, message.sequence)

    # Passing messages

    def notify(self, message: Message) -> None:
        with self._turn():
            self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        for listener in self._listeners:
            if matches(listener.pattern, message.subject):
                listener.line.post(partial(listener.receive, message))

    def subscribe(self, listener: Listener) -> None:
        with self._turn():
            self._listeners[listener] = None

    def unsubscribe(self, listener: Listener) -> None:
        with self._turn():
            self._listeners.pop(listener, None)

    # Consumers

    def consume(self, line: Line, spec: ConsumerSpec, hand: Callable[[Lease], None]) -> tuple[Durable, Member]:
        """Create or join; the newer lease, limit and idle time hold for all."""
        with self._turn():
            durable = self._durables.get(spec.name)
            if durable is None:
                durable = self._create(spec)
            elif durable.spec.filter != spec.filter:
                raise ConfigError(
                    f"consumer {spec.name} with filter {spec.filter} cannot be made: consumer {spec.name} already has "
                    f"filter {durable.spec.filter}; remove that consumer or give this mailbox another name"
                )
            else:
                durable.update(spec)
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
        durable = self._durables[spec.name] = Durable(spec, self._tasks, self._agenda)
        return durable

    def backlog(self, name: str) -> Backlog | None:
        with self._turn():
            durable = self._durables.get(name)
            return None if durable is None else durable.backlog()

    def withdraw(self, durable: Durable, member: Member) -> None:
        """This member takes no more; what it holds it keeps."""
        with self._turn() as now:
            self._leave(durable, member, now)

    def _leave(self, durable: Durable, member: Member, now: float) -> None:
        if member in durable.members:
            durable.members.remove(member)
            durable.left_at = now
            self._agenda.add(now + durable.spec.idle, partial(self._retire, durable, now))

    def _retire(self, durable: Durable, left_at: float, _now: float) -> None:
        if not durable.members and durable.left_at == left_at:
            self._durables.pop(durable.spec.name, None)

    def grant(self, durable: Durable, member: Member, credit: int) -> None:
        with self._turn():
            member.credit += credit
            durable.deal()

    def keep(self, durable: Durable, lease: Lease, limit: float, lost: Callable[[], None] | None) -> None:
        """Renew for ``limit`` seconds from now."""
        with self._turn() as now:
            if lease.line in self._lines:
                durable.keep(lease, limit, lost, now)

    def ack(self, lease: Lease) -> None:
        """Remove the message, whoever holds it by now."""
        with self._turn():
            if lease.line in self._lines:
                self._remove(self._tasks, lease.message.sequence)
