"""What the end of a run makes of its message: a value, another attempt, or the dead letters.

The last step of ``actorq.runtime.execute`` before ``actorq.runtime.settle``. Reads the clock and draws lots; never
waits.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actorq.core.remote import describe
from actorq.core.retrying import GiveUp, decide, names_of
from actorq.errors import InvalidArguments, PayloadTooLarge, TimedOut, UsageError
from actorq.model.envelope import ErrorInfo
from actorq.model.outcome import Again, Done, Failed, HandedBack, Left, Outcome, Snoozed
from actorq.runtime.boundary import Raised
from actorq.runtime.context import Directive, RejectDirective, RetryDirective, SnoozeDirective, directive_in

if TYPE_CHECKING:
    from actorq.runtime.execute import Job


def ended(job: Job, result: Any) -> Outcome:
    """The handler gave ``result``, or Raised."""
    if job.lost:
        return Left("its lease ran out while it ran")
    if isinstance(result, Raised):
        return _raised(job, result.error)
    if isinstance(result, Directive):
        return _raised(job, UsageError("the handler returned what ctx.retry() and the like give: raise it"))
    try:
        return Done(job.method.returned.to_wire(result))
    except (TypeError, InvalidArguments) as error:
        return _raised(job, error)


def cut_short(job: Job, *, abandoned: bool) -> Outcome:
    """The run was cancelled; ``abandoned``: its thread goes on all the same."""
    if job.lost:
        return Left("its lease ran out while it ran")
    if job.cancelled:
        return cancelled(job)
    if job.stopping:
        return Left("its thread does not stop") if abandoned else HandedBack(job.back_off)
    if job.limited_by_deadline:
        return late(job, "deadline", "the deadline passed while it ran", state="failed")
    text = f"attempt {job.envelope.attempt} of {job.envelope.to} exceeded its time limit of {job.limit:g} s"
    if abandoned:
        text += "; its thread could not be stopped and was abandoned: call actorq.check_cancelled() in long loops"
    return failed(job, _info(job, "timed_out", "TimedOut", text, abandoned=abandoned), names_of(TimedOut(text)))


def failed(job: Job, error: ErrorInfo, names: Sequence[str], delay: float | None = None) -> Outcome:
    """The attempt ended in an exception of the classes ``names``; ``delay``: what its handler says of the next."""
    verdict = decide(job.retry, names, job.envelope.attempt, random.random())  # noqa: S311  spreads load, no secret
    if isinstance(verdict, GiveUp):
        return Failed(error, "retries_exhausted", restart=verdict.restart)
    delay = verdict.delay if delay is None else delay
    if delay >= _time_to_start(job):
        # Another attempt would not start any more, and its error would say less than this one.
        return Failed(error, "expired", restart=verdict.restart)
    return Again(error, delay, verdict.restart)


def late(job: Job, kind: str, text: str, state: str = "expired") -> Failed:
    """Its time is over. ``kind``: "expired" or "deadline"."""
    name = {"expired": "Expired", "deadline": "DeadlineExceeded"}[kind]
    return Failed(_info(job, kind, name, f"task {job.envelope.id} of {job.envelope.to}: {text}"), "expired", state)


def cancelled(job: Job) -> Failed:
    """It was cancelled: the canceller's record is there already, and settling this finds and repeats it."""
    text = f"task {job.envelope.id} of {job.envelope.to}: it was cancelled"
    return Failed(_info(job, "cancelled", "Cancelled", text), "", "cancelled")


def dead(job: Job, reason: str, text: str) -> Failed:
    """It cannot be run, or not again. ``reason``: one of F-3."""
    info = _info(job, "dead", "DeadLettered", f"task {job.envelope.id} of {job.envelope.to}: {text}")
    return Failed(replace(info, reason=reason), reason)


def too_large(job: Job, error: PayloadTooLarge) -> Failed:
    """Its result cannot be stored, and would not be the next time (C-3)."""
    return Failed(replace(_described(job, error), traceback=""), "too_large")


def _raised(job: Job, error: BaseException) -> Outcome:
    """A failure, or the handler's own word on its message (F-4)."""
    match directive := directive_in(error):
        case SnoozeDirective():
            # At most until it is too late for it: whoever awaits it is to hear of that then.
            return Snoozed(min(directive.delay, max(0.0, _time_to_start(job))))
        case RejectDirective():
            seen = _described(job, directive)
            rejected = dead(job, "rejected", seen.message)
            return replace(rejected, error=replace(rejected.error, traceback=seen.traceback))
        case RetryDirective():
            return failed(job, _why(job, directive), (), directive.delay)
        case _:
            return failed(job, _described(job, error), names_of(error))


def _why(job: Job, directive: RetryDirective) -> ErrorInfo:
    if directive.cause is not None:
        return _described(job, directive.cause)
    return replace(_described(job, directive), type_name="actorq.errors.RemoteError")


def _described(job: Job, error: BaseException) -> ErrorInfo:
    envelope = job.envelope
    return describe(error, actor=envelope.to, task_id=envelope.id, attempts=envelope.attempt)


def _time_to_start(job: Job) -> float:
    """Seconds within which it has to start, if at all."""
    ends = [end for end in (job.envelope.expires, job.envelope.deadline) if end is not None]
    return min(ends) - job.engine.transport.now() if ends else math.inf


def _info(job: Job, kind: str, name: str, text: str, *, abandoned: bool = False) -> ErrorInfo:
    return ErrorInfo(
        type_name=f"actorq.errors.{name}", message=text, kind=kind, actor=job.envelope.to, task_id=job.envelope.id,
        attempts=job.envelope.attempt, abandoned=abandoned,
    )  # fmt: skip
