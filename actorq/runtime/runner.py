"""One actor in one worker, as its supervisor's child: set up, pull and run, and on failure hand everything back (F-2).

Running one message is ``actorq.runtime.execute``, making its outcome durable ``actorq.runtime.settle``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

from actorq.client import RUNNING
from actorq.errors import ConfigError, SupervisionError, TransportError
from actorq.model.address import Mailbox
from actorq.model.durations import Rate
from actorq.model.message import ConsumerSpec
from actorq.model.outcome import Again, Failed, Outcome
from actorq.model.policy import Policy
from actorq.ports.transport import Consumer, Delivery
from actorq.runtime.boundary import Raised, guarded
from actorq.runtime.execute import Engine, Job, admit, decode, invoke, prepare, resolve
from actorq.runtime.mailbox import Puller
from actorq.runtime.pace import Pace
from actorq.runtime.seat import Seat
from actorq.runtime.settle import settle
from actorq.runtime.slots import Slots
from actorq.runtime.target import Target
from actorq.runtime.threads import Threads

log: logging.Logger = logging.getLogger("actorq.worker")

Args = TypeVarTuple("Args")

SETTLE_WITHIN = 5.0


class ActorRunner:
    """Slots, threads, rate and mailboxes of one actor; what it is, over all its restarts.

    A single mailbox never holds more than there are free slots; each further one may hold as many again, leased.
    ``exhausted`` is called when too many of its threads do not stop, ``ended`` when it is done with a message.
    """

    def __init__(
        self,
        engine: Engine,
        target: Target,
        *,
        lease: float,
        exhausted: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self.target = target
        self.engine = engine
        self.slots: Slots = Slots(target.slots, self._grant)
        # The plain methods of a class that has async ones, too.
        self._threaded = Slots(target.policy.threads, self._grant, within=self.slots)
        self._is_mixed = target.is_mixed
        self.pace: Pace = Pace(target.policy.rate_limit, target.policy.burst, self._grant)
        self.threads: Threads = Threads(target.policy.abandoned_limit, exhausted)
        self.jobs: set[Job] = set()
        self.stopping: bool = True
        self.draining: bool = False
        self.delay: float = 0.0
        self.instance: Any = None
        self._lease = lease
        self._ended = ended
        self._mailboxes: dict[Mailbox, Puller | None] = {}
        self._paused: set[str] = set()
        self._idle = anyio.Event()
        self._idle.set()
        self._failure: Exception | None = None
        self._over = anyio.Event()
        self._bound = anyio.Event()
        self._booted = False

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def lent(self) -> int:
        """How many handlers wait for other tasks, their slots lent (E-8)."""
        return self.slots.lent + self._threaded.lent

    @property
    def mailboxes(self) -> list[Mailbox]:
        return list(self._mailboxes)

    @property
    def pullers(self) -> list[Puller]:
        return [puller for puller in self._mailboxes.values() if puller is not None]

    # ---- one life of it, from start to stop

    def cancelled(self, task_id: str) -> None:
        """That task, or canvas, was cancelled: end its runs here."""
        for job in list(self.jobs):
            job.heed(task_id)

    async def run(self, seat: Seat) -> None:
        """Serve until asked to stop; raises what made it fail (F-2)."""
        self._failure, self._over = None, anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._heed, seat)
            await self._awake(seat)
            if await self._set_up(tasks):
                try:
                    await self._open(seat, tasks)
                    await self._over.wait()
                finally:
                    await self._wind_down(seat)
            tasks.cancel_scope.cancel()
        if self.instance is not None:
            await self._tear_down()
        if self._failure is not None:
            raise self._failure

    async def _heed(self, seat: Seat) -> None:
        await seat.stopping.wait()
        self._over.set()

    async def _awake(self, seat: Seat) -> None:
        """An actor without a mailbox here needs no resources, until somebody registers one in a queue served here."""
        if not self._mailboxes:
            seat.started()
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(self._cancel_when_over, waiting.cancel_scope)
                await self._bound.wait()
                waiting.cancel_scope.cancel()

    def fail(self, error: BaseException) -> None:
        """End this life of it as failed, unless it ends already."""
        if not self._over.is_set() and not self.draining:
            self._failure = error if isinstance(error, Exception) else _as_exception(error)
            self._over.set()

    async def _set_up(self, tasks: TaskGroup) -> bool:
        """Make a class actor's instance. False if that failed, or was cut short by a stop."""
        self.instance = None
        if self._over.is_set():
            return False
        result: Any = None
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(self._cancel_when_over, waiting.cancel_scope)
            result = await guarded(partial(self._built, tasks))
            waiting.cancel_scope.cancel()
        if isinstance(result, Raised):
            self.fail(result.error)
        else:
            self.instance = result
        return not self._over.is_set()

    async def _cancel_when_over(self, scope: anyio.CancelScope) -> None:
        await self._over.wait()
        scope.cancel()

    async def _built(self, tasks: TaskGroup) -> Any:
        if self.target.policy.isolation == "process":
            return None  # each attempt makes its own, in its process
        instance = self.target.build()
        await self.target.set_up(instance, _Background(tasks, self.fail), self.threads.call)
        return instance

    async def _open(self, seat: Seat, tasks: TaskGroup) -> None:
        """Pull from every mailbox that is known. At boot each must be joined; later each is, as soon as it can be."""
        self._tasks, self.stopping, self.delay = tasks, self.draining, 0.0
        tasks.start_soon(self.pace.run)
        try:
            for mailbox in self.mailboxes:
                await self._pull(mailbox, patient=self._booted)
        except (TransportError, ConfigError) as error:
            self.fail(error)
            return
        self._booted = True
        seat.started()

    async def _wind_down(self, seat: Seat) -> None:
        """Stop pulling, let what runs end, cancel it, hand the rest back: after a failure to come when it is over."""
        self.delay = 0.0 if self._failure is None else seat.backoff
        await self.stop_pulling()
        with anyio.move_on_after(self.engine.stop_timeout):
            await self.finished()
        self.cancel_running()
        with anyio.move_on_after(SETTLE_WITHIN):
            await self.finished()

    async def _tear_down(self) -> None:
        with anyio.move_on_after(self.engine.stop_timeout):
            result = await guarded(partial(self.target.tear_down, self.instance, self.threads.call))
            if isinstance(result, Raised):
                log.error("teardown() of actor %s failed", self.name, exc_info=result.error)
            return
        log.error("teardown() of actor %s took more than %g s: left", self.name, self.engine.stop_timeout)

    # ---- mailboxes

    async def bind(self, mailbox: Mailbox) -> None:
        """Serve a mailbox from now on. Raises ConfigError if it cannot be joined."""
        if mailbox in self._mailboxes:
            return
        self._mailboxes[mailbox] = None
        self._bound.set()
        if self.stopping:
            return
        try:
            await self._pull(mailbox, patient=False)
        except BaseException:
            if self._mailboxes.get(mailbox) is None:
                self._mailboxes.pop(mailbox, None)
            raise

    async def _pull(self, mailbox: Mailbox, *, patient: bool) -> None:
        # Known before it has joined: it is paused and stopped with the others, and this life may end meanwhile.
        puller = self._mailboxes[mailbox] = Puller(self, mailbox, paused=mailbox.queue in self._paused)
        try:
            if not patient and not puller.paused:
                await puller.join()
        except BaseException:
            if self._mailboxes.get(mailbox) is puller:
                self._mailboxes[mailbox] = None
            raise
        if puller.stopped:
            await puller.abandon()
        else:
            self._tasks.start_soon(self._pulled, puller, name=f"pull {mailbox}")

    async def _pulled(self, puller: Puller) -> None:
        try:
            await puller.pull()
        except Exception as error:
            log.exception("mailbox %s cannot be read: please report this", puller.mailbox)
            self.fail(error)

    async def consume(self, mailbox: Mailbox) -> Consumer:
        """The durable consumer of a mailbox, made if need be."""
        limit = self.target.policy.global_concurrency
        filter_ = self.engine.namespace.inbox(mailbox)
        return await self.engine.transport.consume(ConsumerSpec(mailbox.consumer, filter_, self._lease, limit))

    async def pause(self, queues: set[str]) -> None:
        """Take nothing from these queues, and from all others as before."""
        self._paused = queues
        for puller in self.pullers:
            await puller.pause(puller.mailbox.queue in queues)

    # ---- messages

    def start(self, delivery: Delivery, puller: Puller) -> Job:
        """Begin to process a delivery, as a task of its own."""
        job = Job(self.engine, self.target, self.slots, self.threads, puller.mailbox, delivery)
        job.instance = self.instance
        if self.stopping:
            job.stop(self.delay)
        self.jobs.add(job)
        self._tasks.start_soon(self._process, job, puller, name=delivery.message.subject)
        return job

    async def _process(self, job: Job, puller: Puller) -> None:
        try:
            await self._settled(job, decode(job) or await self._begin(job, puller) or await invoke(job))
        except Exception:
            # A defect of ours, and no reason to stop everybody else's work.
            log.exception("task %s of %s cannot be processed: please report this", job.envelope.id, self.name)
            job.delivery.release()
        except BaseException:
            job.delivery.release()  # else its lease would be renewed with nobody left to end it
            raise
        finally:
            if job.run is not None:
                job.run.end()
            elif job.has_slot:
                job.slots.release()
            self._forget(job)
            puller.forget(job)
            self._ended()

    async def _settled(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Failed | Again) and outcome.restart:
            self.fail(SupervisionError(f"{outcome.error.type_name}: {outcome.error.message}"))
        try:
            await settle(job, outcome)
        except anyio.get_cancelled_exc_class():
            if self._tasks.cancel_scope.cancel_called:
                raise
            # Not ours: the handler cancelled this task of the loop and returned. By now that is over.
            await settle(job, outcome)

    async def _begin(self, job: Job, puller: Puller) -> Outcome | None:
        """Take a slot and a turn, then do all that comes before the handler; an outcome if it must not run."""
        if (outcome := job.withdrawn()) is not None:
            return outcome
        if self._is_mixed and not job.method.is_async:
            job.slots = self._threaded
        if not job.repeated and not self.pace.limited and job.slots.take():
            job.has_slot = True
            puller.forget(job)
            return admit(job) or resolve(job)
        job.waiting = anyio.CancelScope()
        job.delivery.keep(math.inf, job.lose)
        with job.waiting:
            await job.slots.acquire()
            job.has_slot = True
            await self.pace.acquire()
            puller.forget(job)
            return await prepare(job) or job.withdrawn()
        return job.withdrawn()

    def _forget(self, job: Job) -> None:
        self.jobs.discard(job)
        if not self.jobs:
            self._idle.set()

    def _grant(self) -> None:
        for puller in self.pullers:
            puller.grant()

    # ---- changes while it runs

    def change_rate(self, rate: Rate | None, burst: int) -> None:
        """Another rate limit, until this worker ends or its configuration changes it."""
        self.pace.change(rate, burst)

    def change(self, policy: Policy) -> None:
        """Another policy. What runs goes on under the old one; queue, isolation and such need a restart."""
        self.target = self.target.with_policy(policy)
        self.slots.resize(self.target.slots)
        self._threaded.resize(policy.threads)
        self.threads.limit = policy.abandoned_limit
        self.pace.change(policy.rate_limit, policy.burst)

    async def leave(self) -> None:
        """Forget all mailboxes: those of its next life are to be bound anew."""
        await self.stop_pulling()  # it may have come back by itself since it was drained
        self._mailboxes.clear()
        self._bound = anyio.Event()

    async def drain(self, grace: float) -> None:
        """Take no more, hand back what has not started, and give what runs ``grace`` seconds to end."""
        await self.stop_pulling()
        with anyio.move_on_after(grace):
            await self.finished()

    # ---- stopping

    async def stop_pulling(self) -> None:
        """Take no more; what has arrived and not started is handed back at once."""
        self.stopping = True
        for job in list(self.jobs):
            if job.run is None:
                job.stop(self.delay)
        for puller in self.pullers:
            await puller.stop()

    async def finished(self) -> None:
        """Wait until nothing of this actor is in progress."""
        while self.jobs:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()

    def cancel_running(self) -> None:
        """End every run early; their messages are handed back."""
        for job in list(self.jobs):
            job.stop(self.delay)


class _Background:
    """Tasks that a class actor starts in its setup: they end with it, and one that fails makes it fail."""

    def __init__(self, tasks: TaskGroup, fail: Callable[[BaseException], None]) -> None:
        self._tasks = tasks
        self._fail = fail

    def start_soon(self, func: Callable[[*Args], Awaitable[Any]], /, *args: *Args, name: object = None) -> None:
        async def beside() -> None:
            RUNNING.set(None)  # a method may start it, and its run will be over
            result = await guarded(partial(func, *args))
            if isinstance(result, Raised):
                self._fail(result.error)

        self._tasks.start_soon(beside, name=name)


def _as_exception(error: BaseException) -> Exception:
    """What ends a program when user code raises it is here a failure of the actor."""
    failure = SupervisionError(f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
