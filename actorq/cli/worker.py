"""``actorq worker``: reads the flags, says what it will run, and runs it."""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version
from typing import Annotated, Any, Literal

import anyio
from cyclopts import Parameter
from cyclopts.validators import Number

from actorq.cli import logs, server, signals
from actorq.cli.exits import OK, USAGE, Exit
from actorq.cli.lifespan import Named
from actorq.cli.output import columns, document, masked, talk
from actorq.cli.settings import DEFAULTS, Common, Seconds
from actorq.embedded import EmbeddedBroker
from actorq.runtime.target import Target
from actorq.system import ActorSystem
from actorq.worker import Worker, WorkerOptions

log: logging.Logger = logging.getLogger("actorq.worker")

WATCH_EVERY = 0.25
IF_TAKEN = "leave out --embedded to use it, or give another address with -s nats://127.0.0.1:PORT"


def worker(
    target: Annotated[str | None, Parameter(env_var="ACTORQ_APP")] = None,
    /,
    *,
    concurrency: Annotated[int | None, Parameter(alias="-c", validator=Number(gte=1))] = None,
    queues: Annotated[list[str] | None, Parameter(alias="-Q")] = None,
    exclude_queues: Annotated[list[str] | None, Parameter(alias="-X")] = None,
    name: Annotated[str, Parameter(alias="-n")] = "",
    log_level: Annotated[logs.Level, Parameter(alias="-l")] = "info",
    log_format: logs.Format = "console",
    backend: Literal["asyncio", "trio"] = "asyncio",
    burst: bool = False,
    shutdown_timeout: Seconds = 30.0,
    ack_wait: Annotated[Seconds, Parameter(validator=Number(gte=1))] = 30.0,
    embedded: bool = False,
    common: Common = DEFAULTS,
) -> int:
    """Run a worker until SIGTERM or Ctrl-C: the first drains, the second cancels, the third ends at once.

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
    name
        Its name, instead of host, process id and four random characters.
    log_level
        Least severe level that is logged.
    log_format
        One line, or one JSON object a line.
    backend
        Event loop that runs the handlers.
    burst
        Stop when all mailboxes are empty.
    shutdown_timeout
        How long running tasks may go on after the first signal: seconds, or 30s, 5m.
    ack_wait
        Lease of a delivery, at least 1 s: after a crash its task runs elsewhere that much later.
    embedded
        Start a broker in this process's care, with a temporary store, where the system looks for one.
    """
    if target is None:
        raise Exit(
            USAGE, "which system? write `actorq worker MODULE:SYSTEM`, for example shop.tasks:system, or set ACTORQ_APP"
        )
    options = WorkerOptions(
        name=name, queues=_split(queues) or ("*",), exclude=_split(exclude_queues), concurrency=concurrency,
        shutdown_timeout=shutdown_timeout, lease=ack_wait, burst=burst,
    )  # fmt: skip
    logs.set_up(log_level, log_format)
    system = common.system(target)
    running = Worker(system, options)
    signals.listen()
    if system.lifespan is not None:
        system.lifespan = functools.partial(Named, system.name, system.lifespan)
    begin = functools.partial(_begin, running, backend, log_format, common)
    if not embedded:
        return _left(running, _run(begin(), backend=backend))
    with server.running(server.beside(system.url), IF_TAKEN) as broker:
        system.transport = broker.url
        code = _run(_beside, broker, begin(), backend=backend)
    return _left(running, code)


def _run(function: Callable[..., Awaitable[int]], *args: Any, backend: str) -> int:
    # This process is ours, and it makes short-lived objects by the million: look for cycles less often than by default.
    gc.set_threshold(20_000, 20, 20)
    return anyio.run(function, *args, backend=backend)


def _left(worker: Worker, code: int) -> int:
    """End here if threads that do not stop would keep the interpreter from ending."""
    if worker.abandoned:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _begin(worker: Worker, backend: str, form: logs.Format, common: Common) -> Callable[[], Awaitable[int]]:
    """Say what will run; gives what runs it."""
    _announce(worker, backend, form)
    for oddity in oddities(worker.system, worker.options, common.namespace):
        log.warning(oddity)
    return functools.partial(worker.run, ready=functools.partial(_ready, worker, backend, form, as_json=common.as_json))


async def _beside(broker: EmbeddedBroker, run: Callable[[], Awaitable[int]]) -> int:
    """Run a worker for as long as its broker lives. Raises Exit when that ends first: its tasks are gone with it."""
    code = OK
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, broker)
        code = await run()
        tasks.cancel_scope.cancel()
    return code


async def _watch(broker: EmbeddedBroker) -> None:
    while broker.running:
        await anyio.sleep(WATCH_EVERY)
    raise server.ended(broker)


def _split(names: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(part for name in names or () for part in name.split(",") if part)


def oddities(system: ActorSystem, options: WorkerOptions, namespace: str | None) -> list[str]:
    """What a worker may well be meant to do, and more often is not."""
    known = sorted({target.policy.queue for target in system.actors.values()})
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
    return found


def facts(worker: Worker, backend: str) -> dict[str, Any]:
    """What a worker is about to run."""
    system, options = worker.system, worker.options
    served = {t.policy.queue for t in system.actors.values() if options.serves(t.policy.queue)}
    return {
        "version": version("actorq"),
        "worker": worker.name,
        "system": system.name,
        "namespace": system.namespace.prefix.removeprefix("aq-"),
        "transport": masked(system.url),
        "backend": backend,
        "queues": sorted(served if "*" in options.queues else set(options.queues) - set(options.exclude)),
        "actors": {name: _policy(target, options) for name, target in system.actors.items()},
    }


def _policy(target: Target, options: WorkerOptions) -> dict[str, object]:
    if options.concurrency is not None:
        target = target.with_policy(target.policy.merged({"concurrency": options.concurrency}, "-c"))
    policy = target.policy
    return {
        "queue": policy.queue,
        "served": options.serves(policy.queue),
        "runs": "in the event loop" if target.is_async else "in threads",
        "concurrency": target.slots,
        "timeout": policy.timeout,
    }


def _announce(worker: Worker, backend: str, form: logs.Format) -> None:
    known = facts(worker, backend)
    if form == "json":
        log.info("starting", extra={"details": known})
        return
    talk(f"actorq {known['version']} worker {known['worker']}")
    rows = [(key, known[key]) for key in ("system", "namespace", "transport", "backend")]
    talk(columns([*rows, ("queues", ", ".join(known["queues"]) or "none")], "  "))
    talk(columns([_row(name, policy) for name, policy in known["actors"].items()], "  actor ") or "  no actors")


def _row(name: str, policy: dict[str, object]) -> tuple[str, ...]:
    return (
        name,
        f"queue {policy['queue']}{'' if policy['served'] else ' (not served)'}",
        f"{policy['concurrency']} at once {policy['runs']}",
        "no time limit" if policy["timeout"] is None else f"at most {policy['timeout']:g} s",
    )


def _ready(worker: Worker, backend: str, form: logs.Format, *, as_json: bool) -> None:
    if form == "json":
        log.info("ready")
    else:
        talk("ready")
    if as_json:
        document(facts(worker, backend))
