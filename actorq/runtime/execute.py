"""Run one task: a pipe of small steps from a delivery to an outcome.

decode -> withdraw -> look -> resolve -> admit -> invoke; the first step that knows the outcome ends the pipe. Settling the outcome
is ``actorq.runtime.settle``; holding a slot and the lease around both is ``actorq.runtime.mailbox``.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from actorq.client import RUNNING
from actorq.core.codec import Undecodable, decode_envelope
from actorq.core.convert import Parameters, Returned
from actorq.core.delivery import AckUnrun, Held, Repeat, after_newer, after_record, must_look, over_budget
from actorq.core.remote import describe
from actorq.errors import InvalidArguments
from actorq.model.address import Mailbox, Namespace, parse_address
from actorq.model.envelope import Envelope, ErrorInfo
from actorq.model.options import Policy
from actorq.model.outcome import Done, Failed, HandedBack, Left, Outcome, Repeated, Superseded
from actorq.ports.transport import Delivery, Transport
from actorq.runtime.boundary import Raised, guarded
from actorq.runtime.context import Context, Run, Send
from actorq.runtime.lookup import newest_copy, stored_record
from actorq.runtime.slots import Slots
from actorq.runtime.threads import Threads

log = logging.getLogger("actorq.worker")

Middleware = Callable[[Context, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Target(Protocol):
    """A declared handler, as far as running it goes."""

    name: str
    handler: Callable[..., Any]
    policy: Policy
    is_async: bool
    parameters: Parameters
    returned: Returned


@dataclass(slots=True)
class Engine:
    """What all executions of a worker share."""

    transport: Transport
    namespace: Namespace
    worker: str
    send: Send
    threads: Threads
    crash_budget: int = 5
    stop_timeout: float = 5.0
    default_ttl: float = 3600.0
    state: Any = None
    middleware: tuple[Middleware, ...] = ()
    held: dict[str, Job] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Job:
    """One delivery on its way through the pipe."""

    engine: Engine
    target: Target
    slots: Slots
    mailbox: Mailbox
    delivery: Delivery
    envelope: Envelope = field(default=Envelope(id="", to=""))
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None
    waiting: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    settling: anyio.CancelScope | None = None
    lost: bool = False
    stopping: bool = False

    @property
    def own(self) -> Held:
        return Held(self.envelope.id, self.delivery.message.sequence, self.envelope.generation)

    @property
    def repeated(self) -> bool:
        return must_look(self.envelope.repeat, self.delivery.deliveries)

    def stop(self) -> None:
        """End the run early, or do not start it; the message is to be handed back."""
        self.stopping = True
        self.waiting.cancel()
        if self.run is not None:
            self.run.scope.cancel()

    def lose(self) -> None:
        """The lease ran out: end the run early and leave the message to its next holder."""
        self.lost = True
        for scope in (self.waiting, self.run and self.run.scope, self.settling):
            if scope is not None:
                scope.cancel()


async def execute(job: Job) -> Outcome:
    """Bring a delivery to its outcome. Never raises what user code raised."""
    for step in (decode, withdraw, look, resolve, admit):
        outcome = await step(job)
        if outcome is not None:
            return outcome
    return await invoke(job)


async def decode(job: Job) -> Outcome | None:
    """Bytes to envelope; what cannot be decoded is dead at once."""
    try:
        job.envelope = decode_envelope(job.delivery.message.body)
        actor, method = parse_address(job.envelope.to)
        if actor != job.target.name:
            raise Undecodable(f"the message is addressed to {job.envelope.to!r} but lies in the mailbox of {job.target.name!r}")
        job.engine.held[job.envelope.id] = job
        if method is not None:
            return _dead(job, "unknown_method", f"actor {actor!r} has no method {method!r}")
    except (Undecodable, ValueError) as error:
        job.envelope = Envelope(id=job.delivery.message.subject.rsplit(".", 1)[1], to=job.target.name)
        return _dead(job, "undecodable", f"the message cannot be decoded: {error}")
    return None


async def withdraw(job: Job) -> Outcome | None:
    """A worker that stops, or has lost the lease, starts nothing."""
    if job.lost:
        return Left("its lease ran out before it started")
    return HandedBack() if job.stopping else None


async def look(job: Job) -> Outcome | None:
    """A message that may have been run before looks before it runs (D-2)."""
    if not job.repeated:
        return None
    engine, envelope = job.engine, job.envelope
    newest = await newest_copy(engine.transport, engine.namespace, envelope)
    if isinstance(after_newer(job.own, newest), AckUnrun):
        return Superseded()
    verdict = after_record(job.own, await stored_record(engine.transport, engine.namespace, envelope.id))
    if isinstance(verdict, AckUnrun):
        return Superseded()
    return Repeated(verdict.record) if isinstance(verdict, Repeat) else None


async def resolve(job: Job) -> Outcome | None:
    """Wire values to the handler's own types; arguments that do not fit are dead at once."""
    try:
        job.args, job.kwargs = job.target.parameters.rebuild(job.envelope.args, job.envelope.kwargs)
    except InvalidArguments as error:
        return _dead(job, "bad_arguments", str(error))
    return None


async def admit(job: Job) -> Outcome | None:
    """Lost leases, expiry and deadline, in this order."""
    envelope, now = job.envelope, job.engine.transport.now()
    if over_budget(envelope, job.delivery.deliveries, job.engine.crash_budget):
        return _dead(job, "crash_loop", f"{job.engine.crash_budget} runs of it were lost with their workers")
    if envelope.deadline is not None and now >= envelope.deadline:
        return _late(job, "deadline", f"the deadline passed {now - envelope.deadline:.3g} s before it could start")
    if envelope.expires is not None and now >= envelope.expires:
        return _late(job, "expired", f"it expired {now - envelope.expires:.3g} s before it could start")
    return None


async def invoke(job: Job) -> Outcome:
    """Run the handler in its own scope, with the earlier of time limit and deadline."""
    if (outcome := await withdraw(job)) is not None:
        return outcome
    run = job.run = Run(job.envelope, repeated=job.repeated, slots=job.slots, worker=job.engine.worker)
    limit = time_limit(job)
    run.scope.deadline = anyio.current_time() + limit
    job.delivery.keep(limit + job.engine.stop_timeout, job.lose)
    context = Context(run, state=job.engine.state, send=job.engine.send)
    token = RUNNING.set(run)
    result: Any = None
    try:
        with run.scope:
            result = await guarded(_call(job, context))
    finally:
        RUNNING.reset(token)
    return _classify(job, run, result)


def time_limit(job: Job) -> float:
    """Seconds that this attempt may take: the call's or the policy's limit, and what the root's deadline leaves."""
    limit = job.target.policy.timeout if job.envelope.time_limit is None else job.envelope.time_limit
    seconds = math.inf if limit is None or limit < 0 else limit
    if job.envelope.deadline is not None:
        seconds = min(seconds, job.envelope.deadline - job.engine.transport.now())
    return seconds


def _call(job: Job, context: Context) -> Callable[[], Awaitable[Any]]:
    kwargs = dict(job.kwargs)
    if job.target.parameters.context is not None:
        kwargs[job.target.parameters.context] = context
    plain = functools.partial(job.target.handler, *job.args, **kwargs)
    call: Callable[[], Awaitable[Any]] = plain
    if not job.target.is_async:
        call = functools.partial(job.engine.threads.run, plain)
    for layer in reversed(job.engine.middleware):
        call = functools.partial(layer, context, call)
    return call


def _classify(job: Job, run: Run, result: Any) -> Outcome:
    ended_early = run.scope.cancelled_caught or (run.scope.cancel_called and isinstance(result, Raised))
    if job.lost:
        return Left("its lease ran out while it ran")
    if ended_early:
        return HandedBack() if job.stopping else _timed_out(job)
    envelope = job.envelope
    if isinstance(result, Raised):
        info = describe(result.error, actor=envelope.to, task_id=envelope.id, attempts=envelope.attempt)
        return Failed(info, "retries_exhausted")
    try:
        return Done(job.target.returned.to_wire(result))
    except (TypeError, InvalidArguments) as error:
        info = describe(error, actor=envelope.to, task_id=envelope.id, attempts=envelope.attempt)
        return Failed(info, "retries_exhausted")


def _timed_out(job: Job) -> Outcome:
    envelope = job.envelope
    if envelope.deadline is not None and job.engine.transport.now() >= envelope.deadline:
        return _late(job, "deadline", "the deadline passed while it ran", state="failed")
    abandoned = not job.target.is_async
    text = f"attempt {envelope.attempt} of {envelope.to} exceeded its time limit of {time_limit(job):g} s"
    if abandoned:
        text += "; its thread could not be stopped and was abandoned"
    return Failed(_info(job, "timed_out", "TimedOut", text, abandoned=abandoned), "retries_exhausted")


def _late(job: Job, kind: str, text: str, state: str = "expired") -> Outcome:
    name = {"expired": "Expired", "deadline": "DeadlineExceeded"}[kind]
    return Failed(_info(job, kind, name, f"task {job.envelope.id} of {job.envelope.to}: {text}"), "expired", state)


def _dead(job: Job, reason: str, text: str) -> Outcome:
    return Failed(_info(job, "dead", "DeadLettered", f"task {job.envelope.id}: {text}"), reason)


def _info(job: Job, kind: str, name: str, text: str, *, abandoned: bool = False) -> ErrorInfo:
    return ErrorInfo(
        type_name=f"actorq.errors.{name}", message=text, kind=kind, actor=job.envelope.to, task_id=job.envelope.id,
        attempts=job.envelope.attempt, abandoned=abandoned,
    )  # fmt: skip
