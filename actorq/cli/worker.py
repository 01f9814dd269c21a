"""``actorq worker``: reads the flags, says what it will run, and runs it, in this process or in several."""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import anyio
from cyclopts import Parameter, Token
from cyclopts.validators import Number

from actorq.cli import logs, server, signals
from actorq.cli.banner import Banner
from actorq.cli.crew import Crew, Terms
from actorq.cli.exits import GAVE_UP, OK, USAGE, Exit
from actorq.cli.lifespan import Named
from actorq.cli.member import Member
from actorq.cli.settings import DEFAULTS, Common, Flag, Seconds
from actorq.cli.target import load
from actorq.config import Draft, Plan, Refusal, changes, sound
from actorq.embedded import EmbeddedBroker
from actorq.errors import ActorqError, ConfigError
from actorq.model.address import token
from actorq.model.durations import size
from actorq.planning import options_of, plan_for
from actorq.worker import Worker

log: logging.Logger = logging.getLogger("actorq.worker")

WATCH_EVERY = 0.25
LAST_WORDS = 0.5
IF_TAKEN = "leave out --embedded to use it, or give another address with -s nats://127.0.0.1:PORT"


def _bytes(_: object, tokens: tuple[Token, ...]) -> int:
    try:
        return size(tokens[0].value, "a size")
    except ActorqError as error:
        raise ValueError(str(error)) from error


def worker(
    target: Annotated[str | None, Parameter(env_var="ACTORQ_APP")] = None,
    /,
    *,
    concurrency: Annotated[int | None, Parameter(alias="-c", validator=Number(gte=1))] = None,
    queues: Annotated[list[str] | None, Parameter(alias="-Q")] = None,
    exclude_queues: Annotated[list[str] | None, Parameter(alias="-X")] = None,
    workers: Annotated[int | None, Parameter(alias="-w", validator=Number(gte=1))] = None,
    name: Annotated[str | None, Parameter(alias="-n")] = None,
    log_level: Annotated[logs.Level | None, Parameter(alias="-l")] = None,
    log_format: logs.Format = "console",
    backend: Literal["asyncio", "trio"] | None = None,
    burst: Flag = False,
    max_tasks: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    max_rss: Annotated[int | None, Parameter(converter=_bytes, metavar="SIZE")] = None,
    shutdown_timeout: Seconds | None = None,
    stop_timeout: Seconds | None = None,
    ack_wait: Annotated[Seconds | None, Parameter(validator=Number(gte=1))] = None,
    embedded: Flag = False,
    common: Common = DEFAULTS,
) -> int:
    """Run a worker until SIGTERM or Ctrl-C: the first drains, the second cancels, the third ends at once.

    What is not given here, the [worker] of the configuration file may say.

    Parameters
    ----------
    target
        MODULE:SYSTEM, importable from the current folder.
    concurrency
        Slots of every actor, instead of its own.
    queues
        Queues to serve, comma separated; all by default.
    exclude_queues
        Queues not to serve.
    workers
        So many processes, and a parent that starts another for one that ends.
    name
        Its name, instead of host, process id and four random characters.
    log_level
        Least severe level that is logged; info by default.
    log_format
        One line, or one JSON object a line.
    backend
        Event loop that runs the handlers; asyncio by default.
    burst
        Stop when all mailboxes are empty.
    max_tasks
        Drain and end after so many tasks; with --workers another process takes its place.
    max_rss
        The same once it has so much memory: bytes, or 512MiB.
    shutdown_timeout
        How long running tasks may go on after the first signal: seconds, or 30s (the default), 5m.
    stop_timeout
        The same for those of an actor that is restarted; 5s by default.
    ack_wait
        Lease of a delivery, at least 1 s, 30s by default: after a crash its task runs elsewhere that much later.
    embedded
        Start a broker in this process's care, with a temporary store, where the system looks for one.
    """
    given = {
        "concurrency": concurrency, "queues": _split(queues) or None, "exclude_queues": _split(exclude_queues),
        "workers": workers, "name": name, "log_level": log_level, "backend": backend, "max_tasks": max_tasks,
        "max_rss": max_rss, "shutdown_timeout": shutdown_timeout, "stop_timeout": stop_timeout, "ack_wait": ack_wait,
    }  # fmt: skip
    flags = {
        f"worker.{key}": (f"flag --{key.replace('_', '-')}", value) for key, value in given.items() if value is not None
    }
    asked = Asked(target, flags, log_format, workers is not None, burst, embedded, common)
    member = Member.of_environment()
    with member or nullcontext():
        return _prepared(asked, member).run()


def _split(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(part for name in names for part in name.split(",") if part)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says. ``flags``: those that stand for keys of the configuration."""

    target: str | None
    flags: Mapping[str, tuple[str, Any]]
    form: logs.Format
    as_crew: bool
    burst: bool
    embedded: bool
    common: Common

    def draft(self) -> Draft:
        draft = self.common.draft()
        return replace(draft, config=draft.config.laid_over(self.flags))

    def target_of(self, draft: Draft) -> str:
        """The system to run. Raises Exit if there is none, ConfigError if the file may have named one."""
        if target := self.target or draft.config.get("worker.app") or sound(draft).get("worker.app"):
            return str(target)
        raise Exit(
            USAGE,
            "which system? write `actorq worker MODULE:SYSTEM`, for example shop.tasks:system, or set ACTORQ_APP, or"
            " app under [worker] in actorq.toml",
        )


def _prepared(asked: Asked, member: Member | None) -> Start:
    """Read and check all that is needed. Raises Exit, or an error of ours, for what is wrong."""
    draft = asked.draft()
    config, app = draft.config, asked.target_of(draft)
    options = replace(options_of(config), app=app, burst=asked.burst)
    if member is not None:
        options = replace(options, name=member.name)
    logs.set_up(config.get("worker.log_level"), asked.form, worker="" if member is None else member.name)
    system = load(app)
    running = Worker(system, options, config=draft, reread=asked.draft)
    asked.common.connect(system, config)
    names: list[str] = []
    if member is None and (asked.as_crew or config.get("worker.workers") > 1):
        names = [token(f"{running.name}-{n + 1}", "worker name") for n in range(config.get("worker.workers"))]
        if system.url.startswith("memory:"):
            raise Exit(USAGE, f"memory: is a broker inside one process: {len(names)} of them need one of their own")
    elif member is not None and member.url is not None:
        system.transport = member.url
    if system.lifespan is not None:
        system.lifespan = functools.partial(Named, system.name, system.lifespan)
    return Start(asked, running, Banner(running, config.get("worker.backend"), asked.form, tuple(names)), member)


@dataclass(frozen=True, slots=True)
class Start:
    """A worker that is ready to be run, or the parent of those ``processes`` that the banner names."""

    asked: Asked
    worker: Worker
    banner: Banner
    member: Member | None

    def run(self) -> int:
        """Run it, with a broker if that was asked for; give the exit code."""
        system = self.worker.system
        signals.listen(hangup="SIGHUP: the worker is only starting, with the configuration as it is")
        try:
            if self.member is not None or not self.asked.embedded:
                return self._run(None)
            with server.running(server.beside(system.url), IF_TAKEN) as broker:
                system.transport = broker.url
                return self._run(broker)
        finally:
            if self.worker.abandoned:
                _end_soon()

    def _run(self, broker: EmbeddedBroker | None) -> int:
        if self.member is None:
            self.banner.announce()
            for oddity in oddities(self.worker, self.asked.common.namespace):
                log.warning(oddity)
        if self.banner.processes:
            return self._run_crew(broker)
        # This process is ours, and it makes short-lived objects by the million: look for cycles less often.
        gc.set_threshold(20_000, 20, 20)
        run = self._as_member if self.member is not None else functools.partial(self.worker.run, ready=self._ready)
        return anyio.run(_beside, broker, run, _give_up, backend=self.banner.backend)

    def _run_crew(self, broker: EmbeddedBroker | None) -> int:
        crew = Crew(
            self.banner.processes, _terms(self.worker.plan), reread=self._reread, burst=self.asked.burst,
            url=None if broker is None else broker.url,
        )  # fmt: skip
        return anyio.run(_beside, broker, functools.partial(crew.run, self._ready), crew.end)

    def _reread(self) -> Terms | None:
        """Terms of the changed configuration; None if that is bad or refused, as the processes will say."""
        try:
            plan = plan_for(self.worker.system, self.worker.options, self.asked.draft())
        except ConfigError:
            return None
        return None if isinstance(changes(self.worker.plan, plan), Refusal) else _terms(plan)

    def _ready(self) -> None:
        self.banner.ready(as_json=self.asked.common.as_json)

    async def _as_member(self) -> int:
        member, code = self.member, OK
        assert member is not None
        async with anyio.create_task_group() as tasks:

            def ready() -> None:
                member.ready()
                tasks.start_soon(member.watch, self.worker.shutdown)

            code = await self.worker.run(ready=ready)
            tasks.cancel_scope.cancel()
        if code != OK:
            member.failed(self.worker.shutdown.reason)
        return code


def _terms(plan: Plan) -> Terms:
    root = plan.tree.root.supervisor
    assert root is not None, "the root is a supervisor"
    # A child may need both: the time of running tasks, then that of its actors.
    return Terms(root, plan.config.get("worker.shutdown_timeout") + plan.config.get("worker.stop_timeout"))


async def _beside(broker: EmbeddedBroker | None, run: Callable[[], Awaitable[int]], end: Callable[[Exit], None]) -> int:
    """Run beside a broker, if there is one; when that ends first, its tasks are gone, and ``end`` is called."""
    code = OK
    async with anyio.create_task_group() as tasks:
        if broker is not None:
            tasks.start_soon(_watch, broker, end)
        code = await run()
        tasks.cancel_scope.cancel()
    return code


async def _watch(broker: EmbeddedBroker, end: Callable[[Exit], None]) -> None:
    while broker.running:
        await anyio.sleep(WATCH_EVERY)
    end(server.ended(broker))


def _give_up(error: Exit) -> None:
    raise error


def _end_soon() -> None:
    """Threads that do not stop would keep the interpreter from ending: leave it a moment for its last words."""
    timer = threading.Timer(LAST_WORDS, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(GAVE_UP)


def oddities(worker: Worker, namespace: str | None) -> list[str]:
    """What a worker may well be meant to do, and more often is not. ``namespace``: by flag or environment."""
    system, options = worker.system, worker.options
    known = sorted({policy.queue for policy in worker.plan.policies.values()})
    found = [
        f"no actor of {system.name} is in queue {queue!r}; it has {', '.join(known) or 'no actors'}"
        for queue in (*options.queues, *options.exclude)
        if queue not in (*known, "*")
    ]
    if namespace not in (None, system.name):
        found.append(
            f"namespace {namespace!r} instead of {system.name!r}, by --namespace or ACTORQ_NAMESPACE: what is sent to"
            f" {system.name!r} does not come here"
        )
    if system.url.startswith("memory:"):
        found.append(
            "memory: is a broker inside this process: no other one can send to it; use --embedded with"
            " -s nats://127.0.0.1:4222, or a broker of its own"
        )
    return [*worker.plan.warnings, *found]
