"""The composition root: system, transport and settings become a running worker."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup, TaskStatus

from actorq.errors import ConfigError, InternalError, TransportError
from actorq.model.address import Mailbox, token
from actorq.runtime.attend import Attendant
from actorq.runtime.execute import Engine
from actorq.runtime.mailbox import ActorRunner
from actorq.runtime.shutdown import Shutdown, listen
from actorq.runtime.target import Target
from actorq.runtime.watchdog import Watchdog, end_process
from actorq.system import ActorSystem

log: logging.Logger = logging.getLogger("actorq.worker")

SETTLE_WITHIN = 5.0
SHORTEST_LEASE = 1.0
BURST_PAUSE = 0.1
EXIT_ABANDONED = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Settings of one worker; durations in seconds. ``queues``: ``("*",)`` serves all but ``exclude``.

    ``concurrency``: overrides every actor's own. ``burst``: stop when all mailboxes are empty.
    """

    name: str = ""
    queues: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    concurrency: int | None = None
    shutdown_timeout: float = 30.0
    stop_timeout: float = 5.0
    lease: float = 30.0
    crash_budget: int = 5
    burst: bool = False

    def __post_init__(self) -> None:
        for queue in (*self.queues, *self.exclude):
            if queue != "*":
                token(queue, "queue")
        if self.lease < SHORTEST_LEASE:
            raise ConfigError(f"lease is {self.lease:g} s: use {SHORTEST_LEASE:g} s or more")
        if self.crash_budget < 1:
            raise ConfigError(f"crash_budget is {self.crash_budget}: use 1 or more")
        if self.shutdown_timeout < 0:
            raise ConfigError(f"shutdown_timeout is {self.shutdown_timeout:g} s: use 0 or more")

    def serves(self, queue: str) -> bool:
        return ("*" in self.queues or queue in self.queues) and queue not in self.exclude


class Worker:
    """Runs a system's actors: ``async with Worker(system):`` beside other code, or ``await Worker(system).run()``.

    Entering it connects, binds the mailboxes and is ready; leaving it drains: running tasks may finish within
    ``shutdown_timeout``, what has not started is handed back.
    """

    def __init__(self, system: ActorSystem, options: WorkerOptions | None = None) -> None:
        self.system = system
        self.options: WorkerOptions = options or WorkerOptions()
        self.name: str = token(self.options.name or _default_name(), "worker name")
        self.runners: dict[str, ActorRunner] = {}
        self._stack = AsyncExitStack()
        self._owns_process = self._drained = False

    async def __aenter__(self) -> Self:
        """Raises BrokerUnavailable, PermissionDenied or ConfigError if it cannot start."""
        self._shutdown, self._grace = Shutdown(), anyio.CancelScope()
        self._drained, self.runners = False, {}
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.system)
            state = await stack.enter_async_context(self.system.lifespan()) if self.system.lifespan else None
            engine = self._engine(state)
            tasks = await stack.enter_async_context(_shelter())
            watchdog = Watchdog(self._overdue, end=end_process if self._owns_process else None)
            stack.enter_context(watchdog)
            tasks.start_soon(watchdog.beat)
            await self._start(tasks, engine)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._drain()
        finally:
            await self._stack.__aexit__(kind, error, trace)

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> int:
        """Run until a signal, or until the work is done with ``burst``; give the exit code: 0, or 70 (see E-3, E-6).

        ``ready`` is called once its mailboxes are bound. Main thread only: it listens to SIGTERM and SIGINT.
        """
        self._owns_process = True
        async with self, anyio.create_task_group() as tasks:
            await tasks.start(listen, self._shutdown)
            tasks.start_soon(self._hurry_when_impatient)
            if self.options.burst:
                tasks.start_soon(self._until_done)
            ready()
            await self._shutdown.requested.wait()
            grace = "" if self.idle() else f": running tasks have {self.options.shutdown_timeout:g} s"
            log.info("stopping (%s)%s", self._shutdown.reason, grace)
            await self._drain()
            tasks.cancel_scope.cancel()
        return EXIT_ABANDONED if self.abandoned else self._shutdown.exit_code

    def _engine(self, state: Any) -> Engine:
        return Engine(
            self.system.client.transport, self.system.namespace, self.name, self.system.send, state=state,
            crash_budget=self.options.crash_budget, stop_timeout=self.options.stop_timeout,
            default_ttl=self.system.streams.result_ttl, middleware=tuple(self.system.middlewares),
        )  # fmt: skip

    async def _start(self, tasks: TaskGroup, engine: Engine) -> None:
        for target in self.system.actors.values():
            adapted, exhausted = self._adapted(target), partial(self._exhausted, target.name)
            self.runners[target.name] = ActorRunner(
                engine, adapted, tasks, lease=self.options.lease, exhausted=exhausted
            )
        attendant = Attendant(
            engine.transport, engine.namespace, self.name, answer=self._answer, bind=self._bind, rescan=self._rescan
        )
        await tasks.start(attendant.run)
        await self._rescan()

    def _adapted(self, target: Target) -> Target:
        if self.options.concurrency is None:
            return target
        return target.with_policy(target.policy.merged({"concurrency": self.options.concurrency}, "concurrency"))

    async def _register(self, runner: ActorRunner) -> None:
        target = runner.target
        home = Mailbox(target.policy.queue, 0, target.name)
        if not self.options.serves(home.queue):
            return
        details = {"lanes": 1, "parameters": str(target.parameters), "version": 1, "timeout": target.policy.timeout}
        await self.system.client.register.announce(home, details)
        await runner.bind(home)

    async def _rescan(self) -> None:
        for runner in self.runners.values():
            await self._register(runner)
        for entry in await self.system.client.register.entries():
            await self._bind(entry.mailbox)

    async def _bind(self, mailbox: Mailbox) -> None:
        runner = self.runners.get(mailbox.actor)
        if runner is not None and self.options.serves(mailbox.queue):
            try:
                await runner.bind(mailbox)
            except ConfigError as error:
                log.error("actor %r cannot take messages from queue %r: %s", mailbox.actor, mailbox.queue, error)

    @property
    def abandoned(self) -> int:
        """How many threads of sync handlers still run unseen. They keep the interpreter from ending (``os._exit``)."""
        return sum(runner.threads.abandoned for runner in self.runners.values())

    def idle(self) -> bool:
        """Whether nothing is in progress here."""
        return not any(runner.jobs for runner in self.runners.values())

    def _answer(self, verb: str, question: Mapping[str, object]) -> object | None:
        if verb != "find":
            return None
        for runner in self.runners.values():
            if any(job.run is not None and job.envelope.id == question.get("id") for job in runner.jobs):
                return {"worker": self.name, "state": "held"}
            if any(str(mailbox) == question.get("mailbox") for mailbox in runner.mailboxes):
                return {"worker": self.name, "state": "served"}
        return None

    def _exhausted(self, actor: str) -> None:
        log.error("actor %r: too many of its threads do not stop: draining, then exit %d", actor, EXIT_ABANDONED)
        self._shutdown.request(f"abandoned threads of {actor}", EXIT_ABANDONED)

    async def _drain(self) -> None:
        if self._drained:
            return
        self._drained = True
        # Shielded: a program that is cancelled loses no outcome that exists (test_a_stop_while_settling).
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + SETTLE_WITHIN):
            for runner in self.runners.values():
                await runner.stop_pulling()
        try:
            with self._grace:
                self._grace.deadline = anyio.current_time() + self.options.shutdown_timeout
                await self._finished()
        finally:
            # Shielded: and it hands back the rest (test_a_cancelled_program_hands_back_what_runs).
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + SETTLE_WITHIN):
                for runner in self.runners.values():
                    runner.cancel_running()
                await self._finished()

    async def _finished(self) -> None:
        for runner in self.runners.values():
            await runner.finished()

    async def _hurry_when_impatient(self) -> None:
        await self._shutdown.impatient.wait()
        log.info("second signal: cancelling what runs")
        self._grace.cancel()

    async def _until_done(self) -> None:
        while not self._shutdown.requested.is_set():
            if not await self._has_work():
                self._shutdown.request("burst: all mailboxes are empty")
            await anyio.sleep(BURST_PAUSE)

    async def _has_work(self) -> bool:
        transport, namespace = self.system.client.transport, self.system.namespace
        for runner in self.runners.values():
            for mailbox in runner.mailboxes:
                try:
                    if await transport.get(namespace.inbox(mailbox)) is not None:
                        return True
                except TransportError:
                    return True  # nobody can tell while the broker is away
        return not self.idle()

    def _overdue(self) -> float:
        """Seconds of silence after which the first message held passes its limit, for a loop that is silent now."""
        ends = [job.ends_at for runner in self.runners.values() for job in list(runner.jobs)]
        return max(0.0, min(ends) - time.monotonic()) if ends else float("inf")


@asynccontextmanager
async def _shelter() -> AsyncGenerator[TaskGroup, None]:
    """A task group that the cancellation of its surroundings does not reach; it is cancelled at its end."""

    async def stay(*, task_status: TaskStatus[TaskGroup]) -> None:
        # Shielded: an outcome that exists must not be lost to a cancellation (test_a_stop_while_settling).
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as inner:
                task_status.started(inner)
                await anyio.sleep_forever()
            if not inner.cancel_scope.cancel_called:
                raise InternalError("the worker's tasks were cancelled by none of its own: please report this")

    outer = anyio.create_task_group()
    await outer.__aenter__()
    try:
        group: TaskGroup = await outer.start(stay)
        try:
            yield group
        finally:
            group.cancel_scope.cancel()
    finally:
        # Not given the body's exception: that one passes as it is, not wrapped into a group.
        await outer.__aexit__(None, None, None)


def _default_name() -> str:
    host = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in socket.gethostname())[:32]
    return f"{host or 'worker'}-{os.getpid()}-{secrets.token_hex(2)}"
