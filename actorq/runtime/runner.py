"""One actor in one worker, as its supervisor's child: set up, pull, and on failure hand everything back (F-2).

What becomes of its messages is ``actorq.runtime.jobs``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

from actorq.client import RUNNING
from actorq.errors import ConfigError, SupervisionError, TransportError
from actorq.model.address import Mailbox
from actorq.model.message import ConsumerSpec
from actorq.model.policy import Policy
from actorq.ports.transport import Consumer
from actorq.runtime.boundary import Raised, guarded
from actorq.runtime.execute import Engine
from actorq.runtime.jobs import Jobs
from actorq.runtime.mailbox import Puller
from actorq.runtime.seat import Seat
from actorq.runtime.target import Target

log: logging.Logger = logging.getLogger("actorq.worker")

Args = TypeVarTuple("Args")

SETTLE_WITHIN = 5.0


def longest_stop(stop_timeout: float) -> float:
    """Seconds that an actor may take to end when asked: what runs ends, is settled, and it tears down."""
    return stop_timeout + SETTLE_WITHIN + stop_timeout


class ActorRunner:
    """One actor and its mailboxes, over all its restarts; ``jobs``: what it has in hand.

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
        self.target: Target = target
        self.engine: Engine = engine
        self.jobs: Jobs = Jobs(engine, target, free=self._grant, exhausted=exhausted, ended=ended, failed=self.fail)
        self.draining: bool = False
        self.instance: Any = None
        self._lease = lease
        self._mailboxes: dict[Mailbox, Puller | None] = {}
        self._paused: set[str] = set()
        self._failure: Exception | None = None
        self._over = anyio.Event()
        self._bound = anyio.Event()
        self._booted = False

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def mailboxes(self) -> list[Mailbox]:
        return list(self._mailboxes)

    @property
    def pullers(self) -> list[Puller]:
        return [puller for puller in self._mailboxes.values() if puller is not None]

    # ---- one life of it, from start to stop

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
        await self.target.set_up(instance, _Background(tasks, self.fail), self.jobs.threads.call)
        return instance

    async def _open(self, seat: Seat, tasks: TaskGroup) -> None:
        """Pull from every mailbox that is known. At boot each must be joined; later each is, as soon as it can be."""
        self._tasks = tasks
        self.jobs.open(tasks, self.instance, draining=self.draining)
        tasks.start_soon(self.jobs.pace.run)
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
        await self.stop_pulling(0.0 if self._failure is None else seat.backoff)
        with anyio.move_on_after(self.engine.stop_timeout):
            await self.jobs.finished()
        self.jobs.cancel()
        with anyio.move_on_after(SETTLE_WITHIN):
            await self.jobs.finished()

    async def _tear_down(self) -> None:
        with anyio.move_on_after(self.engine.stop_timeout):
            result = await guarded(partial(self.target.tear_down, self.instance, self.jobs.threads.call))
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
        if self.jobs.stopping:
            return
        try:
            await self._pull(mailbox, patient=False)
        except BaseException:
            if self._mailboxes.get(mailbox) is None:
                self._mailboxes.pop(mailbox, None)
            raise

    async def _pull(self, mailbox: Mailbox, *, patient: bool) -> None:
        # Known before it has joined: it is paused and stopped with the others, and this life may end meanwhile.
        puller = self._mailboxes[mailbox] = Puller(
            self.jobs, self._consume, mailbox, paused=mailbox.queue in self._paused
        )
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

    async def _consume(self, mailbox: Mailbox) -> Consumer:
        """The durable consumer of a mailbox, made if need be."""
        limit = self.target.policy.global_concurrency
        filter_ = self.engine.namespace.inbox(mailbox)
        return await self.engine.transport.consume(ConsumerSpec(mailbox.consumer, filter_, self._lease, limit))

    async def pause(self, queues: set[str]) -> None:
        """Take nothing from these queues, and from all others as before."""
        self._paused = queues
        for puller in self.pullers:
            await puller.pause(puller.mailbox.queue in queues)

    def _grant(self) -> None:
        for puller in self.pullers:
            puller.grant()

    async def leave(self) -> None:
        """Forget all mailboxes: those of its next life are to be bound anew."""
        await self.stop_pulling()  # it may have come back by itself since it was drained
        self._mailboxes.clear()
        self._bound = anyio.Event()

    async def stop_pulling(self, back_off: float = 0.0) -> None:
        """Take no more; what has arrived and not started is handed back, due in ``back_off`` seconds."""
        self.jobs.withdraw(back_off)
        for puller in self.pullers:
            await puller.stop()

    async def drain(self, grace: float) -> None:
        """Take no more, hand back what has not started, and give what runs ``grace`` seconds to end."""
        await self.stop_pulling()
        with anyio.move_on_after(grace):
            await self.jobs.finished()

    def change(self, policy: Policy) -> None:
        """Another policy. What runs goes on under the old one; queue, isolation and such need a restart."""
        self.target = self.target.with_policy(policy)
        self.jobs.change(self.target)


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
