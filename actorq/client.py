"""Sending and awaiting: the way of a task into the broker and of its outcome out of it.

Knows envelopes, records and the transport port; knows nothing of actors' code or of how a worker runs them.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

import anyio
from anyio.lowlevel import EventLoopToken

from actorq.core.codec import Undecodable, decode_record, pack, readable_envelope, unpack_map
from actorq.core.ids import key_of, made_at, origin_of
from actorq.errors import BrokerUnavailable, ResultError, ResultExpired, ResultTimeout, TransportError, UnknownTask
from actorq.model.address import Namespace, parse_subject
from actorq.model.envelope import Envelope, Record
from actorq.model.message import Message
from actorq.outbox import Outbox, Outgoing
from actorq.ports.transport import Subscription, Transport
from actorq.register import Register

log: logging.Logger = logging.getLogger("actorq.client")

FIRST_LOOK, SLOWEST_LOOK = 1.0, 30.0
NOTICE_AFTER = 10.0
TIMER_EARLY = 0.001
"""A timer may ring a little before its time: taken for too early, it would ring at once, again and again."""
ANSWER_WITHIN = 0.25


class Running(Protocol):
    """The attempt that is executing here and now; what it sends and awaits is on its account."""

    @property
    def envelope(self) -> Envelope: ...

    @property
    def repeated(self) -> bool:
        """This run may not be the first: what it sends may be there already."""
        ...

    @property
    def alone(self) -> bool:
        """Its actor is limited over all workers: it must not wait for itself."""
        ...

    @property
    def home(self) -> EventLoopToken:
        """The event loop in which ``lend`` and ``reclaim`` are to be called."""
        ...

    def child_id(self, actor: str, body: bytes) -> str: ...

    def lend(self) -> None: ...

    async def reclaim(self) -> None: ...


RUNNING: ContextVar[Running | None] = ContextVar("actorq_running", default=None)


class Ticket:
    """A claim on one outcome: fulfilled by an announcement or by a look-up, whichever comes first."""

    __slots__ = ("__weakref__", "event", "fresh", "id", "looked", "raw", "record")

    def __init__(self, task_id: str, *, fresh: bool = False) -> None:
        self.id: str = task_id
        self.fresh: bool = fresh
        self.looked: bool = False
        self.raw: bytes | None = None
        self.record: Record | None = None
        self.event: anyio.Event | None = None

    def fulfil(self, raw: bytes) -> None:
        self.raw = raw
        if self.event is not None:
            self.event.set()

    def outcome(self) -> Record | None:
        """The terminal record, if it is here."""
        if self.record is None and self.raw is not None:
            raw, self.raw = self.raw, None
            record = readable_record(raw)
            if record is not None and record.terminal:
                self.record = record
        return self.record


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of a task: its state (E-7), its record if terminal, its newest waiting copy if any."""

    state: str
    record: Record | None = None
    copy: Message | None = None
    envelope: Envelope | None = None


class Client:
    """Sends tasks and waits for outcomes over one open transport."""

    def __init__(
        self,
        transport: Transport,
        namespace: Namespace,
        origin: str,
        *,
        send_timeout: float = 15.0,
        result_ttl: float = 3_600.0,
    ) -> None:
        self.transport = transport
        self.namespace = namespace
        self.origin = origin
        self.send_timeout = send_timeout
        self.result_ttl = result_ttl
        self.register: Register = Register(transport, namespace)
        self.outbox: Outbox = Outbox(transport, namespace, self.register)
        self._tickets: WeakValueDictionary[str, Ticket] = WeakValueDictionary()
        self._answers: dict[str, Callable[[bytes], None]] = {}
        self._own: Subscription | None = None

    async def open(self) -> None:
        """Listen for the outcomes of this origin."""
        self._own = await self.transport.subscribe(self.namespace.wake(self.origin), self._announced, self._gap)

    def close(self) -> None:
        """Stop listening. Waiters are cancelled by their own scopes, not from here."""
        if self._own is not None:
            self._own.close()
            self._own = None
            self._gap()

    # ---- sending

    async def submit(self, outgoing: Sequence[Outgoing], timeout: float | None = None) -> list[tuple[Ticket, bool]]:
        """Store tasks, all confirmed when this returns; for each its ticket, and whether a copy was there already.

        Raises as ``Outbox.send``.
        """
        if len(outgoing) == 1 and outgoing[0].exclusive:
            ticket = self.ticket(outgoing[0].envelope.id)
            # Without an answer the task is sent: whoever runs it looks for the record first.
            with suppress(BrokerUnavailable):
                if (record := await self.record(ticket.id)) is not None and record.terminal:
                    ticket.record = record
                    return [(ticket, True)]
        # Before they are sent: an outcome may be announced while the confirmation is still on its way.
        tickets = [self._claim(o.envelope.id) for o in outgoing]
        taken = await self.outbox.send(outgoing, self.send_timeout if timeout is None else timeout)
        return [(ticket, i in taken) for i, ticket in enumerate(tickets)]

    # ---- awaiting

    def _claim(self, task_id: str) -> Ticket:
        ticket = self._tickets.get(task_id)
        if ticket is None or ticket.outcome() is not None:  # an outcome of before: this is another task of that id
            ticket = self._tickets[task_id] = Ticket(task_id, fresh=origin_of(task_id) == self.origin)
        return ticket

    def ticket(self, task_id: str) -> Ticket:
        """A claim on a task that somebody sent at some time: its first await looks before it listens."""
        return self._tickets.get(task_id) or self._tickets.setdefault(task_id, Ticket(task_id))

    def _announced(self, message: Message) -> None:
        name = message.subject.rsplit(".", 1)[1]
        if (answer := self._answers.get(name)) is not None:
            answer(message.body)
        elif (ticket := self._tickets.get(name)) is not None:
            ticket.fulfil(message.body)

    def _gap(self) -> None:
        self.register.forget()
        for ticket in list(self._tickets.values()):
            ticket.fresh = False
            if ticket.event is not None:
                ticket.event.set()

    async def outcome(self, ticket: Ticket, timeout: float | None = None) -> Record:
        """Wait for the terminal record. Raises ResultTimeout, ResultExpired, UnknownTask or TransportError."""
        record = ticket.outcome()
        if record is not None and record.replaceable:
            record = await self._by_now(ticket, record)
        if record is not None:
            return record
        if timeout is None:
            return await self._listen(ticket)
        with anyio.move_on_after(timeout):
            return await self._listen(ticket)
        if not ticket.fresh and not ticket.looked and (record := await self._last_look(ticket)) is not None:
            return record
        raise ResultTimeout(
            f"task {ticket.id} has no outcome after {timeout:g} s; it goes on, await its handle again",
            task_id=ticket.id,
        )

    async def _by_now(self, ticket: Ticket, record: Record) -> Record | None:
        """A failure that was known before; None if its task was revived since (F-3). Without an answer it stands."""
        ticket.raw = None
        with anyio.move_on_after(FIRST_LOOK), suppress(ResultError, TransportError):
            ticket.record = (await self.find(ticket.id)).record
            return ticket.outcome()
        return record

    async def _last_look(self, ticket: Ticket) -> Record | None:
        """However short the time given was: an outcome that is there is found."""
        with anyio.move_on_after(FIRST_LOOK):
            return (await self._whereabouts_or_wait(ticket)).record
        return None

    async def _listen(self, ticket: Ticket) -> Record:
        origin = origin_of(ticket.id)
        if origin == self.origin:
            return await self._watch(ticket)
        subject = self.namespace.wake(origin, ticket.id)
        listening = await self.transport.subscribe(subject, lambda m: ticket.fulfil(m.body), self._gap)
        try:
            return await self._watch(ticket)
        finally:
            listening.close()

    async def _watch(self, ticket: Ticket) -> Record:
        pause, notice_at = FIRST_LOOK, anyio.current_time() + NOTICE_AFTER
        while True:
            if ticket.event is None or ticket.event.is_set():
                ticket.event = anyio.Event()
            if self._own is None:
                raise BrokerUnavailable(
                    f"task {ticket.id}: the connection of this handle was closed; await system.handle(id) in a new one"
                )
            if not ticket.fresh and ticket.outcome() is None:
                record = (await self._whereabouts_or_wait(ticket)).record
                ticket.record, ticket.looked = ticket.record or record, True
            if (record := ticket.outcome()) is not None:
                return record
            with anyio.CancelScope(deadline=min(anyio.current_time() + pause, notice_at)):
                await ticket.event.wait()
            if (record := ticket.outcome()) is not None:
                return record
            ticket.fresh, pause = False, min(SLOWEST_LOOK, pause * 2)
            if anyio.current_time() >= notice_at - TIMER_EARLY:
                notice_at = math.inf
                await self._notice(ticket.id)

    async def _whereabouts_or_wait(self, ticket: Ticket) -> Whereabouts:
        try:
            return await self.find(ticket.id)
        except BrokerUnavailable as error:
            log.warning("task %s: cannot look for its outcome now (%s); still waiting", ticket.id, error)
            return Whereabouts("unknown")

    async def find(self, task_id: str) -> Whereabouts:
        """Where a task is, by look-ups alone. Raises ResultExpired or UnknownTask if there is no trace of it (E-7)."""
        if (record := await self.record(task_id)) is not None and record.terminal:
            return Whereabouts(record.state, record)
        copy = await self.transport.get(self.namespace.copies("*", key_of(task_id)))
        if copy is not None:
            return _whereabouts_of(copy)
        again = await self.record(task_id)
        if again is not None:
            return Whereabouts(again.state, again if again.terminal else None)
        if made_at(task_id) is not None:
            raise ResultExpired(
                f"no trace of task {task_id} in namespace {self._name}: it is over and its record's time to live, too"
                " (result_ttl), or it was sent elsewhere: check namespace and server",
                task_id=task_id,
            )
        raise UnknownTask(
            f"no message and no record of task {task_id!r} in namespace {self._name}: check the id, the namespace and"
            " the server",
            task_id=task_id,
        )

    @property
    def _name(self) -> str:
        return repr(self.namespace.prefix.removeprefix("aq-"))

    async def record(self, task_id: str) -> Record | None:
        """The stored record of a task, None if there is none."""
        return await stored_record(self.transport, self.namespace, task_id)

    async def status(self, task_id: str) -> str:
        """One of scheduled, queued, running, retrying, succeeded, failed, cancelled, expired. Raises as ``find``."""
        found = await self.find(task_id)
        if (
            found.state == "queued"
            and found.copy is not None
            and await self._asked_workers(task_id, found.copy) == "held"
        ):
            return "running"
        return found.state

    async def _asked_workers(self, task_id: str, copy: Message) -> str | None:
        parsed = parse_subject(copy.subject)
        question = {"id": task_id, "mailbox": str(parsed[1]) if parsed else ""}
        answers = await self.ask_workers("find", question, enough=lambda reply: reply.get("state") == "held")
        states = {str(answer.get("state")) for answer in answers}
        return next((state for state in ("held", "served", "limited") if state in states), None)

    async def ask_workers(
        self,
        verb: str,
        question: object,
        *,
        enough: Callable[[dict[str, object]], bool],
        worker: str = "all",
        within: float = ANSWER_WITHIN,
    ) -> list[dict[str, object]]:
        """Ask running workers; collect answers for ``within`` seconds, or until one is enough."""
        name, done = f"q{secrets.token_hex(8)}", anyio.Event()
        answers: list[dict[str, object]] = []

        def collect(body: bytes) -> None:
            reply = unpack_map(body)
            if reply is not None:
                answers.append(reply)
                if enough(reply):
                    done.set()

        self._answers[name] = collect
        try:
            with anyio.move_on_after(within):
                subject = self.namespace.control(verb, worker)
                await self.transport.notify(subject, pack(question), reply=self.namespace.wake(self.origin, name))
                await done.wait()
        finally:
            del self._answers[name]
        return answers

    async def _notice(self, task_id: str) -> None:
        try:
            found = await self.find(task_id)
            if found.copy is None or found.envelope is None:
                return
            served = await self._asked_workers(task_id, found.copy)
            queue = found.copy.subject.split(".")[2]
            paused = served != "held" and await self.register.paused(queue)
        except TransportError as error:
            log.warning("task %s: no outcome yet; the broker does not answer (%s)", task_id, error)
            return
        actor, state = found.envelope.to, found.state
        if paused:
            log.warning(
                "task %s of actor %r is %s: queue %r is paused; let it go on with `actorq queue resume %s`",
                task_id, actor, state, queue, queue,
            )  # fmt: skip
        elif served is None:
            log.warning(
                "task %s of actor %r is %s: no running worker serves %s; start one with `actorq worker`",
                task_id, actor, state, found.copy.subject.rsplit(".", 1)[0],
            )  # fmt: skip
        else:
            where = {"held": "running", "limited": f"{state}; the rate limit of its actor lets none start now"}.get(
                served, f"{state}, waiting for its turn"
            )
            log.info("task %s of actor %r has no outcome yet: it is %s", task_id, actor, where)


async def stored_record(transport: Transport, namespace: Namespace, task_id: str) -> Record | None:
    """The record of a task as the broker has it, None if there is none. Raises TransportError."""
    message = await transport.get(namespace.result(origin_of(task_id), task_id))
    return None if message is None else readable_record(message.body)


def readable_record(raw: bytes) -> Record | None:
    """A record as stored; None for one that cannot be read, which is as good as none (anybody may replace it)."""
    try:
        return decode_record(raw)
    except Undecodable as error:
        log.error("a record of this system cannot be read and is taken for missing: %s", error)
        return None


def _whereabouts_of(copy: Message) -> Whereabouts:
    parsed, envelope = parse_subject(copy.subject), readable_envelope(copy.body)
    if envelope is None:
        return Whereabouts("queued", copy=copy)
    if parsed is not None and parsed[0] == "s":
        return Whereabouts("retrying" if envelope.attempt > 1 else "scheduled", copy=copy, envelope=envelope)
    return Whereabouts("queued", copy=copy, envelope=envelope)
