"""The messages that one actor has in hand in one worker: started, run within slots and rate, settled, or handed back.

What is done to one message is ``actorq.runtime.execute`` and ``actorq.runtime.settle``; where they come from is
``actorq.runtime.mailbox``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from actorq.errors import SupervisionError
from actorq.model.address import Mailbox
from actorq.model.outcome import Again, Failed, Outcome
from actorq.ports.transport import Delivery
from actorq.runtime.execute import Engine, Job, admit, decode, invoke, prepare, resolve
from actorq.runtime.pace import Pace
from actorq.runtime.settle import settle
from actorq.runtime.slots import Slots
from actorq.runtime.target import Target
from actorq.runtime.threads import Threads

log: logging.Logger = logging.getLogger("actorq.worker")


class Source(Protocol):
    """Where a delivery comes from, and what is to be told of it."""

    @property
    def mailbox(self) -> Mailbox: ...

    def forget(self, job: Job) -> None:
        """It has its slot, or needs none any more."""
        ...


class Jobs:
    """``free``: called when more may start. ``exhausted``: when too many threads do not stop. ``ended``: after each.

    ``failed``: called with what a message does to its actor. They are tasks of a group that ``open`` gives.
    """

    def __init__(
        self,
        engine: Engine,
        target: Target,
        *,
        free: Callable[[], None],
        exhausted: Callable[[], None],
        ended: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        policy = target.policy
        self._all: set[Job] = set()
        self.slots: Slots = Slots(target.slots, free)
        self.pace: Pace = Pace(policy.rate_limit, policy.burst, free)
        self.threads: Threads = Threads(policy.abandoned_limit, exhausted)
        self.stopping: bool = True
        self._engine = engine
        self._target = target
        self._is_mixed = target.is_mixed
        # The plain methods of a class that has async ones, too.
        self._threaded = Slots(policy.threads, free, within=self.slots)
        self._ended = ended
        self._failed = failed
        self._back_off = 0.0
        self._instance: object = None
        self._idle = anyio.Event()
        self._idle.set()

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    @property
    def lent(self) -> int:
        """How many handlers wait for other tasks, their slots lent (E-8)."""
        return self.slots.lent + self._threaded.lent

    def open(self, tasks: TaskGroup, instance: object, *, draining: bool) -> None:
        """From now on they are tasks of that group and run methods of that instance."""
        self._tasks, self._instance = tasks, instance
        self.stopping, self._back_off = draining, 0.0

    def change(self, target: Target) -> None:
        """Another policy for what starts from now on."""
        policy = target.policy
        self._target = target
        self.slots.resize(target.slots)
        self._threaded.resize(policy.threads)
        self.threads.limit = policy.abandoned_limit
        self.pace.change(policy.rate_limit, policy.burst)

    # ---- one after the other

    def start(self, delivery: Delivery, source: Source) -> Job:
        """Begin to process a delivery, as a task of its own."""
        job = Job(self._engine, self._target, self.slots, self.threads, source.mailbox, delivery)
        job.instance = self._instance
        if self.stopping:
            job.stop(self._back_off)
        self._all.add(job)
        self._tasks.start_soon(self._process, job, source, name=delivery.message.subject)
        return job

    async def _process(self, job: Job, source: Source) -> None:
        try:
            await self._settled(job, decode(job) or await self._begin(job, source) or await invoke(job))
        except Exception:
            # A defect of ours, and no reason to stop everybody else's work.
            log.exception("task %s of %s cannot be processed: please report this", job.envelope.id, self._target.name)
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
            source.forget(job)
            self._ended()

    async def _settled(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Failed | Again) and outcome.restart:
            self._failed(SupervisionError(f"{outcome.error.type_name}: {outcome.error.message}"))
        try:
            await settle(job, outcome)
        except anyio.get_cancelled_exc_class():
            if self._tasks.cancel_scope.cancel_called:
                raise
            # Not ours: the handler cancelled this task of the loop and returned. By now that is over.
            await settle(job, outcome)

    async def _begin(self, job: Job, source: Source) -> Outcome | None:
        """Take a slot and a turn, then do all that comes before the handler; an outcome if it must not run."""
        if (outcome := job.withdrawn()) is not None:
            return outcome
        if self._is_mixed and not job.method.is_async:
            job.slots = self._threaded
        if not job.repeated and not self.pace.limited and job.slots.take():
            job.has_slot = True
            source.forget(job)
            return admit(job) or resolve(job)
        job.waiting = anyio.CancelScope()
        job.delivery.keep(math.inf, job.lose)
        with job.waiting:
            await job.slots.acquire()
            job.has_slot = True
            await self.pace.acquire()
            source.forget(job)
            return await prepare(job) or job.withdrawn()
        return job.withdrawn()

    def _forget(self, job: Job) -> None:
        self._all.discard(job)
        if not self._all:
            self._idle.set()

    # ---- all of them

    def cancelled(self, task_id: str) -> None:
        """That task, or canvas, was cancelled: end its runs here."""
        for job in self:
            job.heed(task_id)

    def withdraw(self, back_off: float) -> None:
        """Start nothing more; what has not started is handed back, due in ``back_off`` seconds."""
        self.stopping, self._back_off = True, back_off
        for job in self:
            if job.run is None or job.run.over:  # a retry that is waited out is handed on with the rest
                job.stop(back_off)

    def cancel(self) -> None:
        """End every run early; their messages are handed back."""
        for job in self:
            job.stop(self._back_off)

    async def finished(self) -> None:
        """Wait until nothing is in progress."""
        while self._all:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()
