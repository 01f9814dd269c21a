"""``actorq worker``: reads the flags, says what it will run, and runs it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from contextlib import nullcontext
from importlib.metadata import version
from typing import Annotated, Any, Literal

import anyio
from cyclopts import Parameter

from actorq.cli import logs
from actorq.cli.exits import USAGE, Exit
from actorq.cli.output import columns, document, masked, talk
from actorq.cli.server import beside, end_on_terminate
from actorq.cli.settings import DEFAULTS, Common, Seconds
from actorq.runtime.target import Target
from actorq.worker import Worker, WorkerOptions

log: logging.Logger = logging.getLogger("actorq.worker")


def worker(
    target: Annotated[str | None, Parameter(env_var="ACTORQ_APP")] = None,
    /,
    *,
    concurrency: Annotated[int | None, Parameter(alias="-c")] = None,
    queues: Annotated[list[str] | None, Parameter(alias="-Q")] = None,
    exclude_queues: Annotated[list[str] | None, Parameter(alias="-X")] = None,
    name: Annotated[str, Parameter(alias="-n")] = "",
    log_level: Annotated[logs.Level, Parameter(alias="-l")] = "info",
    log_format: logs.Format = "console",
    backend: Literal["asyncio", "trio"] = "asyncio",
    burst: bool = False,
    shutdown_timeout: Seconds = 30.0,
    ack_wait: Seconds = 30.0,
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
        Lease of a delivery: after a crash its task runs elsewhere that much later.
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
    end_on_terminate()
    with beside(system.url) if embedded else nullcontext() as broker:
        if broker is not None:
            system.transport = broker.url
        _announce(running, backend, log_format)
        ready = functools.partial(_ready, running, backend, log_format, as_json=common.as_json)
        return anyio.run(functools.partial(running.run, ready=ready), backend=backend)


def _split(names: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(part for name in names or () for part in name.split(",") if part)


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
