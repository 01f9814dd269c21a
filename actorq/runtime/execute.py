"""Run one task: a pipe of small steps from a delivery to an outcome.

decode -> (slot) -> look -> resolve -> admit -> invoke -> classify; the first step that knows the outcome ends the
pipe. Classifying is ``actorq.runtime.classify``, settling the outcome ``actorq.runtime.settle``; pulling, slots and
the order of all this is ``actorq.runtime.mailbox``.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from actorq.client import RUNNING, stored_record
from actorq.core.codec import Undecodable, decode_envelope
from actorq.core.delivery import (
    AckUnrun,
    Held,
    Repeat,
    after_newer,
    after_record,
    last_delivery,
    must_look,
    over_budget,
)
from actorq.errors import InvalidArguments, InvalidName
from actorq.model.address import Mailbox, Namespace, parse_address
from actorq.model.envelope import Envelope
from actorq.model.outcome import HandedBack, Left, Outcome, Repeated, Superseded
from actorq.model.retry import Retry
from actorq.ports.transport import Delivery, Transport
from actorq.runtime.boundary import Raised, guarded
from actorq.runtime.classify import cancelled, cut_short, dead, ended, late
from actorq.runtime.context import Context, Run, Send
from actorq.runtime.lookup import newest_copy, patiently
from actorq.runtime.slots import Slots
from actorq.runtime.target import Method, Target
from actorq.runtime.threads import ThreadCall, Threads

if TYPE_CHECKING:
    from actorq.runtime.isolate import Isolation

log: logging.Logger = logging.getLogger("actorq.worker")

R = TypeVar("R", bound=Run)
Middleware = Callable[[Context, Callable[[], Awaitable[Any]]], Awaitable[Any]]

_NOT_YET = Envelope(id="", to="")
_NO_METHOD = Method.of("", lambda: None, "")


@dataclass(slots=True)
class Engine:
    """What all executions of a worker share. ``hears_signals``: so that none is raised in a handler."""

    transport: Transport
    namespace: Namespace
    worker: str
    send: Send
    crash_budget: int = 5
    stop_timeout: float = 5.0
    default_ttl: float = 3600.0
    state: Any = None
    middleware: tuple[Middleware, ...] = ()
    hears_signals: bool = False
    is_cancelled: Callable[[Envelope, float], bool] = lambda _envelope, _stored_at: False
    isolation: Isolation | None = None


@dataclass(slots=True, eq=False)
class Job:
    """One delivery on its way through the pipe. ``ends_at``: when its lease is given up (on time.monotonic()).

    ``instance``: whose ``method`` it runs, None for a function. ``isolation``: whose process runs it, None: this one.
    """

    engine: Engine
    target: Target
    slots: Slots
    threads: Threads
    mailbox: Mailbox
    delivery: Delivery
    envelope: Envelope = _NOT_YET
    method: Method = _NO_METHOD
    instance: object = None
    isolation: Isolation | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    run: Run | None = None
    limit: float = math.inf
    limited_by_deadline: bool = False
    ends_at: float = math.inf
    waiting: anyio.CancelScope | None = None
    has_slot: bool = False
    lost: bool = False
    stopping: bool = False
    cancelled: bool = False
    back_off: float = 0.0

    @property
    def own(self) -> Held:
        return Held(self.envelope.id, self.delivery.message.sequence, self.envelope.generation)

    @property
    def repeated(self) -> bool:
        return must_look(self.envelope.repeat, self.delivery.deliveries)

    @property
    def retry(self) -> Retry:
        """When its failed attempts are made again, as the call or else the actor has it."""
        return self.envelope.retry or self.target.policy.retry

    def stop(self, back_off: float = 0.0) -> None:
        """End the run early, or do not start it; the message is to be handed back, due in ``back_off`` seconds."""
        self.stopping, self.back_off = True, back_off
        self._interrupt()

    def lose(self) -> None:
        """The lease ran out: end the run early and leave the message to its next holder."""
        self.lost = True
        self._interrupt()

    def heed(self, task_id: str) -> None:
        """That task was cancelled. If it is this one: end the run early, or do not start it."""
        if task_id not in (self.envelope.id, self.envelope.root):
            return
        if self.engine.is_cancelled(self.envelope, self.delivery.message.at):
            self.cancelled = True
            self._interrupt()

    def _interrupt(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
        if self.run is not None:
            self.run.stop()

    def withdrawn(self) -> Outcome | None:
        """What becomes of a message that this worker may no longer start; None while it may."""
        if self.lost:
            return Left("its lease ran out before it started")
        if self.cancelled:
            return cancelled(self)
        return HandedBack(self.back_off) if self.stopping else None

    def still_held(self) -> bool:
        """Whether its lease goes on."""
        return not self.lost


def decode(job: Job) -> Outcome | None:
    """Bytes to envelope; what cannot be decoded is dead at once."""
    message, name = job.delivery.message, job.target.name
    try:
        job.envelope = decode_envelope(message.body)
        actor, method = parse_address(job.envelope.to)
        if actor != name:
            raise Undecodable(f"it is addressed to {job.envelope.to!r} but lies in the mailbox of {name!r}")
    except (Undecodable, InvalidName) as error:
        # Somebody may wait for it: the record is written, whatever the message said of it.
        job.envelope = Envelope(id=message.subject.rsplit(".", 1)[1], to=name, reply=job.engine.default_ttl)
        return dead(job, "undecodable", f"the message cannot be decoded: {error}")
    found = job.target.methods.get(method or "")
    if found is None:
        return dead(job, "unknown_method", job.target.lacks(method or ""))
    job.method = found
    return None


async def prepare(job: Job) -> Outcome | None:
    """All that comes before the handler; an outcome if that makes the run needless."""
    if job.repeated and (outcome := await look(job)) is not None:
        return outcome
    return admit(job) or resolve(job)


async def look(job: Job) -> Outcome | None:
    """A message that may have been run before looks before it runs (D-2)."""
    engine, envelope = job.engine, job.envelope
    newest = await patiently(lambda: newest_copy(engine.transport, engine.namespace, envelope), job.still_held)
    if isinstance(after_newer(job.own, newest), AckUnrun):
        return Superseded()
    record = await patiently(lambda: stored_record(engine.transport, engine.namespace, envelope.id), job.still_held)
    verdict = after_record(job.own, record)
    if isinstance(verdict, AckUnrun):
        return Superseded()
    return Repeated(verdict.record) if isinstance(verdict, Repeat) else None


def resolve(job: Job) -> Outcome | None:
    """Wire values to the handler's own types, which may run code of its own: where the handler is to run."""
    job.isolation = _isolation(job)
    return rebuild(job) if job.isolation is None else None


def rebuild(job: Job) -> Outcome | None:
    """The same, here and now; arguments that do not fit are dead at once."""
    try:
        job.args, job.kwargs = job.method.parameters.rebuild(job.envelope.args, job.envelope.kwargs)
    except InvalidArguments as error:
        return dead(job, "bad_arguments", str(error))
    return None


def admit(job: Job) -> Outcome | None:
    """Cancellation, lost leases, expiry and deadline, in this order."""
    envelope, now = job.envelope, job.engine.transport.now()
    if job.engine.is_cancelled(envelope, job.delivery.message.at):
        return cancelled(job)
    if over_budget(envelope, job.delivery.deliveries, job.engine.crash_budget):
        return dead(job, "crash_loop", f"{job.engine.crash_budget} runs of it were lost with their workers")
    if envelope.deadline is not None and now >= envelope.deadline:
        return late(job, "deadline", f"the deadline passed {now - envelope.deadline:.3g} s before it could start")
    if envelope.expires is not None and now >= envelope.expires:
        return late(job, "expired", f"it expired {now - envelope.expires:.3g} s before it could start")
    return None


async def invoke(job: Job) -> Outcome:
    """Run the handler, here or in a process of its own. Never raises what it raised."""
    if job.isolation is not None:
        return await job.isolation.attempt(job)
    return await perform(job, new_run(job, Run))


def _isolation(job: Job) -> Isolation | None:
    """Whose process runs it, if not this one: as its policy has it, or where it can harm nobody else (D-5)."""
    if job.target.policy.isolation == "process":
        return job.engine.isolation
    last = last_delivery(job.envelope, job.delivery.deliveries, job.engine.crash_budget)
    return job.engine.isolation if last else None


def new_run(job: Job, make: Callable[..., R]) -> R:
    """The account of this attempt. ``make``: the kind of Run."""
    alone = job.target.policy.global_concurrency > 0
    return make(job.envelope, repeated=job.repeated, slots=job.slots, worker=job.engine.worker, alone=alone)


def start_clock(job: Job, run: Run) -> None:
    """From now on the earlier of time limit and deadline holds."""
    job.limit, job.limited_by_deadline = time_limit(job)
    run.scope.deadline = anyio.current_time() + job.limit
    run.ends_at = time.monotonic() + job.limit
    job.ends_at = run.ends_at + job.engine.stop_timeout
    job.delivery.keep(job.limit + job.engine.stop_timeout, job.lose)


async def perform(job: Job, run: Run) -> Outcome:
    """Run the handler in this process, in a scope of its own."""
    job.run = run
    start_clock(job, run)
    call, thread = _call(job, run)
    token = RUNNING.set(run)
    result: Any = None
    try:
        with run.scope:
            result = await guarded(call, interrupts=not job.engine.hears_signals)
    finally:
        RUNNING.reset(token)
    if run.scope.cancelled_caught or (run.cancelled and isinstance(result, Raised)):
        return cut_short(job, abandoned=thread is not None and not await thread.ended_in_time())
    return ended(job, result)


def time_limit(job: Job) -> tuple[float, bool]:
    """Seconds that this attempt may take, by the call or the policy, or by what the root's deadline leaves (True)."""
    limit = job.target.policy.timeout if job.envelope.time_limit is None else job.envelope.time_limit
    seconds = math.inf if limit is None or limit < 0 else limit
    if job.envelope.deadline is not None:
        left = job.envelope.deadline - job.engine.transport.now()
        if left < seconds:
            return left, True
    return seconds, False


def _call(job: Job, run: Run) -> tuple[Callable[[], Awaitable[Any]], ThreadCall | None]:
    engine, method = job.engine, job.method
    context = Context(run, state=engine.state, send=engine.send)
    kwargs = job.kwargs
    if method.parameters.context is not None:
        kwargs = {**kwargs, method.parameters.context: context}
    function = getattr(job.instance, method.name) if method.name else method.function
    plain = functools.partial(function, *job.args, **kwargs)
    thread = None if method.is_async else job.threads.call(plain)
    call: Callable[[], Awaitable[Any]] = functools.partial(_awaited, plain if thread is None else thread)
    for layer in reversed(engine.middleware):
        call = functools.partial(layer, context, call)
    return call, thread


async def _awaited(call: Callable[[], Any]) -> Any:
    """Whatever a handler's wrappers make of it: a value, an awaitable, or an awaitable of one."""
    result = call()
    while inspect.isawaitable(result):
        result = await result
    return result
