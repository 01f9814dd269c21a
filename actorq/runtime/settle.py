"""Make an outcome durable, in the order of D-2: the record, then every consequence, then the ack."""

from __future__ import annotations

import logging
import math
import time
from typing import assert_never

import anyio
from msgspec.structs import replace

from actorq.client import readable_record, stored_record
from actorq.core.codec import encode_dead, encode_record
from actorq.core.copies import copy_of
from actorq.core.delivery import (
    AckUnrun,
    Keep,
    Repeat,
    Replace,
    after_reissue_refused,
    must_record,
    record_refused,
    reissue,
)
from actorq.core.ids import origin_of
from actorq.core.sending import FIRST_PAUSE, Sending, TryAgain
from actorq.core.size import check_size
from actorq.errors import PayloadTooLarge, TransportError
from actorq.model.envelope import DeadLetter, ErrorInfo, Record
from actorq.model.message import Expect, Publication, Refused, Stored
from actorq.model.message import Failed as NotStored
from actorq.model.outcome import Again, Done, Failed, HandedBack, Left, Outcome, Repeated, Snoozed, Superseded
from actorq.runtime.classify import too_large
from actorq.runtime.execute import Job
from actorq.runtime.lookup import newest_copy, patiently

log: logging.Logger = logging.getLogger("actorq.worker")

TRY_TIMEOUT = 5.0
SHORT = 1.0
"""Delays below this are waited out by the holder (D-6); longer ones are schedules."""


async def settle(job: Job, outcome: Outcome) -> None:
    """Make ``outcome`` durable and acknowledge, or leave the message to its lease, with a line in the log.

    Goes on until it is done or the lease ends (E-4). Nothing but the worker's own stop cancels it.
    """
    try:
        await _settle(job, outcome)
    except TransportError as error:
        job.delivery.release()
        log.error("task %s of %s: its outcome cannot be stored: %s", job.envelope.id, job.envelope.to, error)


async def _settle(job: Job, outcome: Outcome) -> None:
    match outcome:
        case Done() | Failed():
            record = await _record(job, outcome)
            if record is not None:
                await _consequences(job, record)
        case Repeated(record):
            await _consequences(job, record)
        case Again() | Snoozed() | HandedBack():
            if not await _hand_on(job, outcome):
                job.delivery.release()
                return
        case Superseded():
            pass
        case Left(why):
            log.warning("task %s of %s is left to its lease: %s", job.envelope.id, job.envelope.to, why)
            job.delivery.release()
            return
        case _:
            assert_never(outcome)
    job.delivery.ack()


def to_record(job: Job, outcome: Done | Failed) -> Record:
    """The terminal record of an outcome."""
    value, error, state = None, None, "succeeded"
    if isinstance(outcome, Done):
        value = outcome.value
    else:
        error, state = outcome.error, outcome.state
    return Record(
        id=job.envelope.id, state=state, generation=job.envelope.generation, value=value, error=error,
        attempts=job.envelope.attempt, at=job.engine.transport.now(), worker=job.engine.worker,
        reason="" if isinstance(outcome, Done) else outcome.reason,
    )  # fmt: skip


async def _record(job: Job, outcome: Done | Failed) -> Record | None:
    """(1) First write wins. Gives the record that counts, ours or the one that was there; None: nothing is due."""
    record = to_record(job, outcome)
    if not must_record(job.envelope, job.delivery.deliveries):
        return record
    if job.envelope.reply is None:
        record = replace(record, value=None)
    body, record = _encode(job, record)
    transport = job.engine.transport
    subject = job.engine.namespace.result(origin_of(record.id), record.id)
    ttl = job.envelope.result_ttl(job.engine.default_ttl)
    expected = 0
    while True:
        publication = Publication(subject, body, expect=Expect(expected, subject), ttl=ttl)
        if isinstance(await _store(job, publication), Stored):
            return record
        found = await patiently(lambda: transport.get(subject), job.still_held)
        stored = None if found is None else readable_record(found.body)
        if found is None or stored is None:
            expected = 0 if found is None else found.sequence
            continue
        match record_refused(job.own, stored, found.sequence):
            case Replace(sequence):
                expected = sequence
            case Repeat(winner):
                return winner
            case AckUnrun():
                return None


def _encode(job: Job, record: Record) -> tuple[bytes, Record]:
    try:
        body = encode_record(record)
        check_size(len(body), f"the result of {job.envelope.to!r}", job.engine.transport.max_bytes)
    except PayloadTooLarge as error:
        record = to_record(job, too_large(job, error))
        body = encode_record(record)
    return body, record


async def _consequences(job: Job, record: Record) -> None:
    """(2) What follows from a record: for one that ended without a value, its dead letter."""
    if record.reason and record.error is not None:
        await _store(job, _dead_letter(job, record, record.error))
        _tell(job, record, record.error)


def _tell(job: Job, record: Record, error: ErrorInfo) -> None:
    context = {"task_id": record.id, "actor": job.envelope.to, "attempt": record.attempts}
    what, trace = _in_short(error), f"\n{error.traceback.rstrip()}" if error.traceback else ""
    log.warning("task %s of %s: %s: %s%s", record.id, job.envelope.to, record.reason, what, trace, extra=context)


def _dead_letter(job: Job, record: Record, error: ErrorInfo) -> Publication:
    message = job.delivery.message
    letter = DeadLetter(
        id=record.id, actor=job.envelope.to, queue=job.mailbox.queue, reason=record.reason, error=error.type_name,
        message=error.message, traceback=error.traceback, attempts=record.attempts, deliveries=job.delivery.deliveries,
        worker=record.worker or job.engine.worker, at=record.at, first_at=message.at, subject=message.subject,
        envelope=message.body,
    )  # fmt: skip
    subject = job.engine.namespace.dead(job.mailbox.queue, job.target.name, record.id)
    return Publication(subject, encode_dead(letter), msg_id=f"{record.id}.dead.{record.generation}")


async def _hand_on(job: Job, outcome: Again | Snoozed | HandedBack) -> bool:
    """D-6: the same message once more, for whoever takes it then. True when this copy is to be acknowledged."""
    delay = outcome.delay
    if not isinstance(outcome, HandedBack):
        _tell_again(job, outcome)
        delay = await _rest_of(job, delay)
    at = job.engine.transport.now() + delay if delay else None
    deliveries = job.delivery.deliveries + (isinstance(outcome, HandedBack) and outcome.lost)
    plan = reissue(job.envelope, deliveries, job.own, retry=isinstance(outcome, Again), at=at)
    copy = copy_of(
        plan.envelope, job.engine.namespace, job.mailbox, msg_id=plan.msg_id, expected=plan.expected, at=plan.at
    )
    answer = await _store(job, copy)
    if isinstance(answer, Stored):
        return True
    engine = job.engine
    newest = await patiently(lambda: newest_copy(engine.transport, engine.namespace, job.envelope), job.still_held)
    record = await patiently(lambda: stored_record(engine.transport, engine.namespace, job.envelope.id), job.still_held)
    match after_reissue_refused(job.own, newest, record):
        case AckUnrun():
            return True
        case Repeat(winner):
            await _consequences(job, winner)
            return True
        case Keep():
            return False


async def _rest_of(job: Job, delay: float) -> float:
    """Wait a short delay out, leased but not in a slot; give what is left when the message is to be handed on."""
    if delay >= SHORT or job.stopping or job.lost:
        return delay
    if job.run is not None:
        job.run.end()
    limit = max(job.ends_at - time.monotonic(), delay + job.engine.stop_timeout)
    job.ends_at = time.monotonic() + limit
    job.delivery.keep(limit, job.lose)
    due = anyio.current_time() + delay
    with anyio.CancelScope() as job.waiting:  # which stop() and lose() cut short
        await anyio.sleep(delay)
        return 0.0
    return max(0.0, due - anyio.current_time())


def _tell_again(job: Job, outcome: Again | Snoozed) -> None:
    envelope = job.envelope
    context = {"task_id": envelope.id, "actor": envelope.to, "attempt": envelope.attempt}
    if isinstance(outcome, Snoozed):
        log.info("task %s of %s: snoozed for %.3g s", envelope.id, envelope.to, outcome.delay, extra=context)
        return
    log.warning(
        "task %s of %s: attempt %d of %d failed: %s; next in %.3g s", envelope.id, envelope.to, envelope.attempt,
        job.retry.max_attempts, _in_short(outcome.error), outcome.delay, extra=context,
    )  # fmt: skip
    if outcome.error.traceback:
        log.debug("task %s of %s: attempt %d\n%s", envelope.id, envelope.to, envelope.attempt, outcome.error.traceback)


def _in_short(error: ErrorInfo) -> str:
    text = error.message.removeprefix(f"task {error.task_id} of {error.actor}: ")
    return f"{error.type_name.removeprefix('actorq.errors.')}: {text}".removesuffix(": ")


async def _store(job: Job, publication: Publication) -> Stored | Refused:
    """Publish until there is an answer. Raises TransportError where that is useless, or when the lease is over."""
    sending = Sending(exclusive=True)
    while True:
        (answer,) = await job.engine.transport.publish([publication], timeout=TRY_TIMEOUT)
        if not isinstance(answer, NotStored):
            return answer
        verdict = sending.after(answer, 0.0, -math.inf if job.lost else math.inf)
        if not isinstance(verdict, TryAgain):
            raise answer.error
        if verdict.after == FIRST_PAUSE:
            log.warning("task %s of %s: %s; trying again", job.envelope.id, job.envelope.to, answer.error)
        await anyio.sleep(verdict.after)
