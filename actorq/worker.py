"""The composition root: system, transport and settings become a running tree of supervised actors."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import sniffio
from anyio.abc import TaskGroup

from actorq.config.plan import Plan
from actorq.config.reading import Draft
from actorq.config.reload import Refusal, changes
from actorq.core.tree import Node
from actorq.errors import ActorqError, ConfigError, SupervisionError, TransportError
from actorq.isolation import isolation
from actorq.model.address import token
from actorq.model.supervision import ROOT, ChildSpec, SupervisorSpec
from actorq.model.worker import WorkerOptions
from actorq.planning import apply, as_options, draft_of, options_of, plan_for
from actorq.reloading import Reloading, summary, told
from actorq.runtime.attend import Attendant
from actorq.runtime.bindings import Bindings
from actorq.runtime.burst import until_done
from actorq.runtime.cancelled import CancelledSet
from actorq.runtime.control import Control
from actorq.runtime.dump import report
from actorq.runtime.execute import Engine
from actorq.runtime.recycle import Recycling
from actorq.runtime.runner import SETTLE_WITHIN, ActorRunner, longest_stop
from actorq.runtime.seat import Child, Seat
from actorq.runtime.shelter import shelter
from actorq.runtime.shutdown import Hangup, Shutdown, listen
from actorq.runtime.supervise import Supervisor, nested
from actorq.runtime.sweep import Sweep
from actorq.runtime.target import Target
from actorq.runtime.watchdog import Watchdog, end_process
from actorq.system import ActorSystem

__all__ = ["Worker", "WorkerOptions"]

log: logging.Logger = logging.getLogger("actorq.worker")

EXIT_GAVE_UP = 70


class Worker:
    """Runs a system's actors: ``async with Worker(system):`` beside other code, or ``await Worker(system).run()``.

    Entering it connects, starts the supervision tree and is ready; leaving it drains: running tasks may finish within
    ``shutdown_timeout``, what has not started is handed back, actors end in reverse order.
    """

    def __init__(
        self,
        system: ActorSystem,
        options: WorkerOptions | None = None,
        *,
        config: Draft | str | Path | None = None,
        reread: Callable[[], Draft] | None = None,
    ) -> None:
        """``config``: a configuration file, or one that was read; its [worker] gives the ``options`` if there are none.

        A file's namespace, [nats] and [streams] are laid over the system's own: give it before the system connects.
        ``reread`` reads it again for ``reload``; needed where ``config`` is no file.
        Raises ConfigError with all problems of the file, or of the supervisors.
        """
        self.system = system
        draft = draft_of(config)
        self.options: WorkerOptions = options or options_of(draft.config)
        self.plan: Plan = plan_for(self.system, self.options, draft)
        if not isinstance(config, Draft):  # whoever read it has applied it as well
            apply(draft.config, system)
        self._reread = reread or partial(draft_of, None if isinstance(config, Draft) else config)
        self.name: str = token(self.options.name or _default_name(), "worker name")
        self.runners: dict[str, ActorRunner] = {}
        self.supervisor: Supervisor = Supervisor(SupervisorSpec(name=ROOT), ())
        self._stack = AsyncExitStack()
        self._hangup = Hangup()
        self._owns_process = self._drained = False
        self._failure: SupervisionError | None = None

    async def __aenter__(self) -> Self:
        """Raises BrokerUnavailable, PermissionDenied, ConfigError, or SupervisionError for an actor's ``setup()``."""
        self.shutdown: Shutdown = Shutdown()
        self._grace = anyio.CancelScope()
        self._up, self._ended = anyio.Event(), anyio.Event()
        self._root = Seat(ready=self._up.set)
        self._reload_asked, self._one_reload = anyio.Event(), anyio.Lock()
        self._failure, self._drained = None, False
        self._recycling = Recycling(self.options.max_tasks, self.options.max_rss, self.shutdown.request)
        async with AsyncExitStack() as stack:
            # What is still heard when all else has ended (test_signals_while_the_lifespan_ends).
            self._to_the_end = await stack.enter_async_context(shelter())
            await stack.enter_async_context(self.system)
            state = await stack.enter_async_context(self.system.lifespan()) if self.system.lifespan else None
            engine = self._engine = self._new_engine(state)
            engine.isolation = stack.enter_context(isolation(self.system, self.options.app or None))
            await self._can_isolate(self.plan)
            self.runners = {target.name: self._runner(engine, target) for target in self.system.actors.values()}
            self.supervisor = self._supervisor(self.plan.tree.root)
            watchdog = stack.enter_context(Watchdog(self._overdue, end=end_process if self._owns_process else None))
            tasks = await stack.enter_async_context(shelter())
            stack.callback(watchdog.wind_up, SETTLE_WITHIN)
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
            await self._close(kind, error, trace)

    async def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            # The tree gave up, which cancelled the block: that is what whoever runs it has to know.
            if self._failure is None or group.split(SupervisionError)[1] is not None:
                raise
            raise self._failure from self._failure.__cause__

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> int:
        """Run until a signal, or until the work is done with ``burst``; give the exit code: 0, or 70 (see E-3, E-6).

        ``ready`` is called once its mailboxes are bound. Main thread only: it listens to SIGTERM, SIGINT, SIGHUP (read
        the configuration again) and SIGUSR1 (log where everything stands). Raises SupervisionError if the tree gave up.
        """
        self._owns_process = True
        async with self, anyio.create_task_group() as tasks:
            heeded = {signal.SIGUSR1: self._dump}
            if not self._hangup.ignored:
                heeded[signal.SIGHUP] = self._hung_up
            await self._to_the_end.start(listen, self.shutdown, heeded)
            tasks.start_soon(self._reload_when_asked)
            tasks.start_soon(self._hurry_when_impatient)
            tasks.start_soon(self._recycling.watch)
            if self.options.burst:
                tasks.start_soon(self._until_done)
            ready()
            await self.shutdown.requested.wait()
            grace = "" if self.idle() else f": running tasks have {self.options.shutdown_timeout:g} s"
            log.info("stopping (%s)%s", self.shutdown.reason, grace)
            await self._drain()
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        return EXIT_GAVE_UP if self.abandoned else self.shutdown.exit_code

    async def reload(self) -> bool:
        """Read the configuration again and apply what has changed; False, with lines in the log, if that is refused.

        A bad one changes nothing. A good one costs no message and runs none twice: see ``actorq.reloading``.
        """
        async with self._one_reload:
            return await self._reload()

    async def _reload(self) -> bool:
        try:
            draft = self._reread()
            if not (draft.config.files or self.plan.config.files):
                log.info("nothing to reload: there is no configuration file")
                return True
            plan = plan_for(self.system, self.options, draft)
            await self._can_isolate(plan)
        except ConfigError as error:
            return told(error.problems)
        found = changes(self.plan, plan)
        if isinstance(found, Refusal):
            return told(found.problems)
        self.plan = plan
        self._set(found.worker)
        await self._reloading.apply(found, plan.tree)
        log.info("the configuration is read again: %s", summary(found))
        for warning in plan.warnings:
            log.warning("%s", warning)
        return True

    async def _can_isolate(self, plan: Plan) -> None:
        """Raises ConfigError if an actor is to have processes of its own, and there can be none."""
        processes = self._engine.isolation
        if processes is not None and any(policy.isolation == "process" for policy in plan.policies.values()):
            await processes.start()

    def _set(self, given: Mapping[str, Any]) -> None:
        """New values of [worker]."""
        self.options = replace(self.options, **as_options(given))
        self._recycling.max_tasks, self._recycling.max_rss = self.options.max_tasks, self.options.max_rss
        self._engine.crash_budget, self._engine.stop_timeout = self.options.crash_budget, self.options.stop_timeout
        if "log_level" in given:
            logging.getLogger(None if self._owns_process else "actorq").setLevel(str(given["log_level"]).upper())

    def _new_engine(self, state: Any) -> Engine:
        return Engine(
            self.system.client.transport, self.system.namespace, self.name, self.system.send, state=state,
            crash_budget=self.options.crash_budget, stop_timeout=self.options.stop_timeout,
            default_ttl=self.system.streams.result_ttl, middleware=tuple(self.system.middlewares),
            hears_signals=self._owns_process,
        )  # fmt: skip

    # ---- the tree

    def _supervisor(self, node: Node) -> Supervisor:
        assert node.supervisor is not None, "an actor is no supervisor"
        return Supervisor(node.supervisor, [self._child(child) for child in node.children])

    def _child(self, node: Node) -> Child:
        if node.supervisor is not None:
            return nested(self._supervisor(node))
        return Child(self._bounded(node.child), self.runners[node.name].run)

    def _bounded(self, actor: ChildSpec) -> ChildSpec:
        # What an actor does when asked to stop is bounded in itself; the supervisor's own bound comes after it.
        return replace(actor, stop_timeout=longest_stop(self.options.stop_timeout) + 1)

    def _runner(self, engine: Engine, target: Target) -> ActorRunner:
        return ActorRunner(
            engine, target.with_policy(self.plan.policies[target.name]), lease=self.options.lease,
            exhausted=partial(self._exhausted, target.name), ended=self._recycling.count,
        )  # fmt: skip

    async def _start(self, tasks: TaskGroup, engine: Engine) -> None:
        transport, namespace, register = engine.transport, engine.namespace, self.system.client.register
        cancelled = CancelledSet(transport, namespace, self._cancelled)
        engine.is_cancelled = cancelled.is_cancelled
        sweep = Sweep(transport, namespace, register)
        bindings = Bindings(register, sweep, self.runners, self._serves)
        attendant = Attendant(
            transport, namespace, self.name, answer=Control(self, sniffio.current_async_library()).answer,
            bind=bindings.bind, pause=bindings.pause, rescan=bindings.rescan,
        )  # fmt: skip
        self._reloading = Reloading(
            self.supervisor, self.runners, child=self._child, bounded=self._bounded,
            rescan=partial(bindings.rescan, claim=True), grace=lambda: self.options.shutdown_timeout,
        )  # fmt: skip
        await tasks.start(cancelled.run)
        await tasks.start(attendant.run)
        await bindings.rescan(claim=True)
        tasks.start_soon(bindings.keep)
        tasks.start_soon(self._supervise)
        await self._up.wait()
        if self._failure is not None:
            raise _boot_failure(self._failure)

    def _serves(self, queue: str) -> bool:
        return self.options.serves(queue)  # as they are now: a reload changes them

    async def _supervise(self) -> None:
        try:
            await self.supervisor.run(self._root)
            if not self._root.stopping.is_set():
                self.shutdown.request("the supervision tree has ended: auto_shutdown of root")
        except SupervisionError as error:
            self._failure = error
            if self._up.is_set():
                self.shutdown.request(str(error), EXIT_GAVE_UP)
                if not self._owns_process:
                    raise
        finally:
            self._ended.set()
            self._up.set()

    def _cancelled(self, task_id: str) -> None:
        for runner in self.runners.values():
            runner.jobs.cancelled(task_id)

    # ---- what others ask of it

    @property
    def system_name(self) -> str:
        return self.system.name

    @property
    def queues(self) -> list[str]:
        """The queues that it serves, as far as its actors have mailboxes there."""
        return sorted({mailbox.queue for runner in self.runners.values() for mailbox in runner.mailboxes})

    @property
    def abandoned(self) -> int:
        """How many threads of sync handlers still run unseen. They keep the interpreter from ending (``os._exit``)."""
        return sum(runner.jobs.threads.abandoned for runner in self.runners.values())

    def idle(self) -> bool:
        """Whether nothing is in progress here."""
        return not any(runner.jobs for runner in self.runners.values())

    def _exhausted(self, actor: str) -> None:
        log.error("actor %r: too many of its threads do not stop: draining, then exit %d", actor, EXIT_GAVE_UP)
        self.shutdown.request(f"abandoned threads of {actor}", EXIT_GAVE_UP)

    # ---- stopping

    async def _drain(self) -> None:
        if self._drained:
            return
        self._drained = True
        # Shielded: a program that is cancelled loses no outcome that exists (test_a_stop_while_settling).
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + SETTLE_WITHIN):
            for runner in self.runners.values():
                runner.draining = True
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
                    runner.jobs.cancel()
                await self._finished()
            bound = self.options.stop_timeout + SETTLE_WITHIN
            # Shielded: and its actors close what they have opened (test_a_cancelled_program_tears_its_actors_down).
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + bound):
                self._root.stopping.set()
                await self._ended.wait()

    async def _finished(self) -> None:
        for runner in self.runners.values():
            await runner.jobs.finished()

    async def _hurry_when_impatient(self) -> None:
        await self.shutdown.impatient.wait()
        log.info("cancelling what runs (%s)", self.shutdown.reason)
        self._grace.cancel()

    def _dump(self) -> None:
        jobs = [job.delivery.message.subject for runner in self.runners.values() for job in runner.jobs]
        log.warning("SIGUSR1: %s", report(self.supervisor.tree(), jobs))

    def _hung_up(self) -> None:
        if self._hangup.terminal_is_gone:
            self.shutdown.request("the terminal is gone")
        else:
            self._reload_asked.set()

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked = anyio.Event()
            await self.reload()

    async def _until_done(self) -> None:
        run = {path.rpartition("/")[2] for path, _ in self.supervisor.below()}
        runners = [runner for name, runner in self.runners.items() if name in run]
        await until_done(self.system.client.transport, self.system.namespace, runners)
        self.shutdown.request("burst: all mailboxes are empty")

    def _overdue(self) -> float:
        """Seconds of silence after which the first message held passes its limit, for a loop that is silent now."""
        ends = [job.ends_at for runner in self.runners.values() for job in runner.jobs]
        return max(0.0, min(ends) - time.monotonic()) if ends else float("inf")


def _boot_failure(failure: SupervisionError) -> ActorqError:
    """Why it cannot start: what the broker or the settings lack, rather than whose start it was that met it."""
    cause = failure.__cause__
    return cause if isinstance(cause, TransportError | ConfigError) else failure


def _default_name() -> str:
    host = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in socket.gethostname())[:32]
    return f"{host or 'worker'}-{os.getpid()}-{secrets.token_hex(2)}"
