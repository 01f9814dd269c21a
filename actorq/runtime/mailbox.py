"""Pull the messages of one actor, only as many as it has slots for, and run each as a task of its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskGroup

from actorq.errors import ConfigError, TransportError
from actorq.model.address import Mailbox
from actorq.model.message import ConsumerSpec
from actorq.model.outcome import Outcome
from actorq.ports.transport import Consumer, Delivery
from actorq.runtime.execute import Engine, Job, admit, decode, invoke, prepare, resolve
from actorq.runtime.settle import settle
from actorq.runtime.slots import Slots
from actorq.runtime.target import Target
from actorq.runtime.threads import Threads

log: logging.Logger = logging.getLogger("actorq.worker")

REJOIN_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class ActorRunner:
    """One actor in one worker: its slots and threads, and a puller for each of its mailboxes.

    A single mailbox never holds more than there are free slots; each further one may hold as many again, leased.
    ``exhausted`` is called when too many of its threads do not stop.
    """

    def __init__(
        self,
        engine: Engine,
        target: Target,
        tasks: TaskGroup,
        *,
        lease: float,
        exhausted: Callable[[], None],
    ) -> None:
        self.target = target
        self.engine = engine
        self.slots: Slots = Slots(target.slots, self._grant)
        self.threads: Threads = Threads(target.policy.abandoned_limit, exhausted)
        self.jobs: set[Job] = set()
        self.stopping: bool = False
        self._tasks = tasks
        self._lease = lease
        self._pullers: dict[Mailbox, _Puller] = {}
        self._idle = anyio.Event()

    @property
    def mailboxes(self) -> list[Mailbox]:
        return list(self._pullers)

    async def bind(self, mailbox: Mailbox) -> None:
        """Join the consumer of a mailbox and start to pull. Raises ConfigError if it cannot be joined."""
        if mailbox in self._pullers or self.stopping:
            return
        puller = self._pullers[mailbox] = _Puller(self, mailbox)
        try:
            await puller.join()
        except BaseException:
            del self._pullers[mailbox]
            raise
        self._tasks.start_soon(puller.pull, name=f"pull {mailbox}")

    async def consume(self, mailbox: Mailbox) -> Consumer:
        """The durable consumer of a mailbox, made if need be."""
        limit = self.target.policy.global_concurrency
        filter_ = self.engine.namespace.inbox(mailbox)
        return await self.engine.transport.consume(ConsumerSpec(mailbox.consumer, filter_, self._lease, limit))

    def start(self, delivery: Delivery, puller: _Puller) -> Job:
        """Begin to process a delivery, as a task of its own."""
        job = Job(self.engine, self.target, self.slots, self.threads, puller.mailbox, delivery)
        if self.stopping:
            job.stop()
        self.jobs.add(job)
        self._tasks.start_soon(self._process, job, puller)
        return job

    async def _process(self, job: Job, puller: _Puller) -> None:
        try:
            await self._settled(job, decode(job) or await self._begin(job, puller) or await invoke(job))
        except Exception:
            # A defect of ours, and no reason to stop everybody else's work.
            log.exception("task %s of %s cannot be processed: please report this", job.envelope.id, self.target.name)
            job.delivery.release()
        finally:
            if job.run is not None:
                job.run.end()
            elif job.has_slot:
                self.slots.release()
            self._forget(job)
            puller.forget(job)

    async def _settled(self, job: Job, outcome: Outcome) -> None:
        try:
            await settle(job, outcome)
        except anyio.get_cancelled_exc_class():
            if self._tasks.cancel_scope.cancel_called:
                raise
            # Not ours: the handler cancelled this task of the loop and returned. By now that is over.
            await settle(job, outcome)

    async def _begin(self, job: Job, puller: _Puller) -> Outcome | None:
        """Take a slot, then do all that comes before the handler; an outcome if it must not run."""
        if (outcome := job.withdrawn()) is not None:
            return outcome
        if not job.repeated and self.slots.take():
            job.has_slot = True
            puller.forget(job)
            return resolve(job) or admit(job)
        job.waiting = anyio.CancelScope()
        job.delivery.keep(math.inf, job.lose)
        with job.waiting:
            await self.slots.acquire()
            job.has_slot = True
            puller.forget(job)
            return await prepare(job) or job.withdrawn()
        return job.withdrawn()

    def _forget(self, job: Job) -> None:
        self.jobs.discard(job)
        if not self.jobs:
            self._idle.set()

    def _grant(self) -> None:
        for puller in self._pullers.values():
            puller.grant()

    async def stop_pulling(self) -> None:
        """Take no more; what has arrived and not started is handed back at once."""
        self.stopping = True
        for job in list(self.jobs):
            if job.run is None:
                job.stop()
        for puller in list(self._pullers.values()):
            await puller.stop()

    async def finished(self) -> None:
        """Wait until nothing of this actor is in progress."""
        while self.jobs:
            self._idle = anyio.Event()
            await self._idle.wait()

    def cancel_running(self) -> None:
        """End every run early; their messages are handed back."""
        for job in list(self.jobs):
            job.stop()


class _Puller:
    """The pulling side of one mailbox: keeps what is granted and held within the free slots of its actor."""

    def __init__(self, runner: ActorRunner, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self._runner = runner
        self._consumer: Consumer | None = None
        self._granted = 0
        self._waiting: set[Job] = set()
        self._scope = anyio.CancelScope()

    async def join(self) -> None:
        """Join the consumer, with credit for every free slot."""
        self._consumer = await self._runner.consume(self.mailbox)
        self._granted = 0
        self.grant()

    def grant(self) -> None:
        credit = self._runner.slots.free - len(self._waiting) - self._granted
        if credit > 0 and not self._runner.stopping and self._consumer is not None:
            self._granted += credit
            self._consumer.grant(credit)

    def forget(self, job: Job) -> None:
        """A delivery of this mailbox has its slot, or needs none any more."""
        if job in self._waiting:
            self._waiting.remove(job)
            self.grant()

    async def pull(self) -> None:
        """Receive until stopped; a consumer that cannot go on is made anew."""
        with self._scope:
            while True:
                try:
                    while self._consumer is not None:
                        self._take(await self._consumer.receive())
                except TransportError as error:
                    log.warning("mailbox %s delivers no more (%s): joining it again", self.mailbox, error)
                await self._rejoin()

    async def _rejoin(self) -> None:
        self._consumer, pause, said = None, REJOIN_PAUSE, ""
        while self._consumer is None:
            await anyio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
            try:
                await self.join()
            except (TransportError, ConfigError) as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("mailbox %s cannot be joined yet: %s", self.mailbox, said)
        log.info("mailbox %s is joined again", self.mailbox)

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        self._granted -= len(deliveries)
        for delivery in deliveries:
            self._waiting.add(self._runner.start(delivery, self))

    async def stop(self) -> None:
        """Withdraw all credit and take over what has arrived."""
        self._scope.cancel()
        if self._consumer is not None:
            self._take(await self._consumer.stop())
