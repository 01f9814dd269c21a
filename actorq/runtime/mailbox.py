"""Pull the messages of one actor, only as many as it has slots for, and run each as a task of its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import anyio
from anyio.abc import TaskGroup

from actorq.model.address import Mailbox
from actorq.model.message import ConsumerSpec
from actorq.ports.transport import Consumer, Delivery
from actorq.runtime.execute import Engine, Job, Target, execute
from actorq.runtime.settle import Settler
from actorq.runtime.slots import Slots

log = logging.getLogger("actorq.worker")


class ActorRunner:
    """One actor in one worker: its slots, and a puller for each of its mailboxes.

    A single mailbox never holds more than there are free slots; each further one may hold as many again, leased.
    """

    def __init__(self, engine: Engine, target: Target, settler: Settler, tasks: TaskGroup, *, lease: float) -> None:
        self.target = target
        self.engine = engine
        policy = target.policy
        self.slots = Slots(policy.concurrency if target.is_async else min(policy.concurrency, policy.threads), self._grant)
        self.jobs: set[Job] = set()
        self.stopping = False
        self._settler = settler
        self._tasks = tasks
        self._lease = lease
        self._pullers: dict[Mailbox, _Puller] = {}
        self._idle: anyio.Event | None = None

    @property
    def mailboxes(self) -> list[Mailbox]:
        return list(self._pullers)

    async def bind(self, mailbox: Mailbox) -> None:
        """Join the consumer of a mailbox and start to pull. Raises ConfigError if it cannot be joined."""
        if mailbox in self._pullers or self.stopping:
            return
        spec = ConsumerSpec(
            mailbox.consumer, self.engine.namespace.inbox(mailbox), self._lease, self.target.policy.global_concurrency
        )
        puller = _Puller(self, mailbox, await self.engine.transport.consume(spec))
        self._pullers[mailbox] = puller
        puller.grant()
        self._tasks.start_soon(puller.pull, name=f"pull {mailbox}")

    def start(self, delivery: Delivery, puller: _Puller) -> None:
        """Begin to process a delivery, in the task group of the actor."""
        job = Job(self.engine, self.target, self.slots, puller.mailbox, delivery, stopping=self.stopping)
        self.jobs.add(job)
        delivery.keep(math.inf, job.lose)
        self._tasks.start_soon(self._process, job, puller)

    async def _process(self, job: Job, puller: _Puller) -> None:
        taken = False
        try:
            with job.waiting:
                await self.slots.acquire()
                taken = True
            puller.started()
            await self._settler.settle(job, await execute(job))
        finally:
            if job.run is not None:
                job.run.end()
            elif taken:
                self.slots.release()
            self._forget(job)

    def _forget(self, job: Job) -> None:
        self.jobs.discard(job)
        if self.engine.held.get(job.envelope.id) is job:
            del self.engine.held[job.envelope.id]
        if not self.jobs and self._idle is not None:
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
        for puller in self._pullers.values():
            await puller.stop()

    async def finished(self) -> None:
        """Wait until nothing of this actor is in progress."""
        if self.jobs:
            self._idle = anyio.Event()
            await self._idle.wait()

    def cancel_running(self) -> None:
        """End every run early; their messages are handed back."""
        for job in list(self.jobs):
            job.stop()


class _Puller:
    """The pulling side of one mailbox: keeps what is granted and held within the free slots of its actor."""

    def __init__(self, runner: ActorRunner, mailbox: Mailbox, consumer: Consumer) -> None:
        self.mailbox = mailbox
        self._runner = runner
        self._consumer = consumer
        self._granted = 0
        self._waiting = 0
        self._scope = anyio.CancelScope()

    def grant(self) -> None:
        credit = self._runner.slots.free - self._waiting - self._granted
        if credit > 0 and not self._runner.stopping:
            self._granted += credit
            self._consumer.grant(credit)

    def started(self) -> None:
        """A delivery of this mailbox has its slot (or needs none any more)."""
        self._waiting -= 1

    async def pull(self) -> None:
        """Receive until stopped."""
        with self._scope:
            while True:
                self._take(await self._consumer.receive())

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        self._granted -= len(deliveries)
        self._waiting += len(deliveries)
        for delivery in deliveries:
            self._runner.start(delivery, self)

    async def stop(self) -> None:
        self._scope.cancel()
        self._take(await self._consumer.stop())
