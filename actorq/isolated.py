"""The process of one attempt, from the inside (D-5, E-3): the user's code imported once, then forked for each attempt.

A program of its own, started by ``actorq.runtime.forkserver``; ``actorq.isolation`` says what it is told.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import importlib
import io
import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from logging.handlers import QueueHandler
from typing import Any

import anyio
from anyio.abc import TaskGroup

from actorq.core.codec import encode_record
from actorq.core.size import check_size
from actorq.core.values import PLAIN
from actorq.errors import ConfigError, PayloadTooLarge
from actorq.model.address import Mailbox, Namespace
from actorq.model.message import ConnectionSettings, Message, StreamSettings
from actorq.model.outcome import Again, Done, Failed, Outcome, Snoozed
from actorq.plugins import open_transport
from actorq.runtime.channel import READY, Channel
from actorq.runtime.classify import too_large
from actorq.runtime.context import Run
from actorq.runtime.execute import Engine, Job, decode, new_run, perform, rebuild
from actorq.runtime.forks import Forks
from actorq.runtime.isolate import to_values
from actorq.runtime.settle import to_record
from actorq.runtime.slots import Slots
from actorq.runtime.threads import Threads
from actorq.system import ActorSystem

log: logging.Logger = logging.getLogger("actorq.worker")

MAX_TEXT = 32 * 1024

# ---- in the process that forks


def main(setup: Mapping[str, Any]) -> None:
    """Import what ``isolation`` has told, then fork at the worker's word until that ends."""
    control = socket.socket(fileno=setup["control"])
    control.set_inheritable(False)
    forks = Forks(control, setup["worker"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.enable()
    sys.argv = setup["argv"]
    logs = _Forward()
    logging.getLogger().addHandler(logs)
    logging.getLogger().setLevel(setup["level"])
    try:
        system = _load(setup)
        anyio.run(_warm, system, backend=setup["backend"])
    except BaseException as error:
        control.send(f"{type(error).__name__}: {error}"[:MAX_TEXT].encode(errors="replace"))
        raise
    _settle_down(setup["app"])
    control.send(READY)
    forks.serve(functools.partial(_run, system, setup["backend"], logs))


def _load(setup: Mapping[str, Any]) -> ActorSystem:
    module, _, attribute = setup["app"].partition(":")
    for name in (module, *setup["modules"]):
        importlib.import_module(name)
    system: Any = functools.reduce(getattr, attribute.split("."), sys.modules[module])
    if not isinstance(system, ActorSystem):
        raise ConfigError(f"it is {system!r}, and no ActorSystem")
    system.transport = setup["transport"]
    system.namespace = Namespace(setup["namespace"])
    system.connection |= setup["connection"]
    system.streams = StreamSettings(**setup["streams"])
    system.send_timeout = setup["send_timeout"]
    return system


async def _warm(system: ActorSystem) -> None:
    """Have this process import what each of its children would."""
    open_transport(ConnectionSettings(url=system.url, prefix=system.namespace.prefix, **system.connection))


def _settle_down(app: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # what stays in a buffer would be written by every child
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate()[1:])
        log.warning("importing %s starts threads (%s), which forked processes lack: start them in lifespan", app, names)
    gc.collect()
    gc.freeze()  # memory that no collection touches stays shared


class _Forward(QueueHandler):
    """Hands log records to the worker, whose logging decides; what is said before a child has begun goes to stderr."""

    def __init__(self) -> None:
        super().__init__(queue.SimpleQueue[object]())
        self.channel: Channel | None = None

    def enqueue(self, record: logging.LogRecord) -> None:
        if self.channel is None:
            if logging.lastResort is not None:
                logging.lastResort.handle(record)
            return
        fields = {name: value for name, value in vars(record).items() if type(value) in PLAIN and name != "message"}
        self.channel.send("log", {name: _short(value) for name, value in fields.items()})


def _short(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str | bytes) else value


# ---- in the process of one attempt


def _run(system: ActorSystem, backend: str, logs: _Forward, channel: Channel) -> None:
    logs.channel = channel
    order = channel.receive()
    if order is not None:
        anyio.run(functools.partial(_attempt, system, channel, *order), backend=backend)


async def _attempt(
    system: ActorSystem, channel: Channel, actor: str, body: bytes, deliveries: int, worker: str, limit: int
) -> None:
    """As a worker does it, with one message for its whole life. ``limit``: global_concurrency, as the worker has it."""
    declared = system.actors[actor]
    target = declared.with_policy(declared.policy.merged({"global_concurrency": limit}, actor))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(system)
        state = await stack.enter_async_context(system.lifespan()) if system.lifespan else None
        tasks: Any = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        instance = target.build()
        await target.set_up(instance, tasks)
        stack.push_async_callback(target.tear_down, instance)
        engine = Engine(
            system.client.transport, system.namespace, worker, system.send, state=state,
            default_ttl=system.streams.result_ttl, middleware=tuple(system.middlewares), hears_signals=True,
        )  # fmt: skip
        job = Job(
            engine, target, Slots(1, _nothing), Threads(1, _nothing), Mailbox("", 0, actor),
            _Held(Message("", body), deliveries), instance=instance,
        )  # fmt: skip
        channel.send("begun")
        outcome = decode(job) or rebuild(job) or await _perform(job, channel, tasks)
        if isinstance(outcome, Done | Failed | Again | Snoozed):  # else it was stopped, and nobody listens any more
            channel.send("outcome", *to_values(_fitting(job, outcome)))


async def _perform(job: Job, channel: Channel, tasks: TaskGroup) -> Outcome:
    run = new_run(job, functools.partial(_Run, channel))
    job.run = run
    tasks.start_soon(_listen, job, run, channel)
    return await perform(job, run)


async def _listen(job: Job, run: _Run, channel: Channel) -> None:
    while (message := await channel.get()) is not None:
        match message:
            case ["go", number]:
                run.go(number)
            case _:
                job.stop()


def _fitting(job: Job, outcome: Done | Failed | Again | Snoozed) -> Done | Failed | Again | Snoozed:
    """The outcome, or what the worker would make of one that is too large: it has to reach it."""
    if isinstance(outcome, Again | Snoozed):
        return outcome
    try:
        size = len(encode_record(to_record(job, outcome)))
        check_size(size, f"the result of {job.envelope.to!r}", job.engine.transport.max_bytes)
    except PayloadTooLarge as error:
        return too_large(job, error)
    return outcome


class _Run(Run):
    """A run whose slot is the worker's: lent and reclaimed there."""

    __slots__ = ("_channel", "_turns")

    def __init__(self, channel: Channel, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._channel = channel
        self._turns: list[anyio.Event] = []

    def lend(self) -> None:
        self._channel.send("lend")

    async def reclaim(self) -> None:
        turn = anyio.Event()
        self._turns.append(turn)
        self._channel.send("reclaim", len(self._turns) - 1)
        await turn.wait()

    def go(self, number: int) -> None:
        self._turns[number].set()


@dataclass(frozen=True, slots=True)
class _Held:
    """The delivery as its run sees it; the worker holds the lease."""

    message: Message
    deliveries: int

    def keep(self, limit: float, lost: Callable[[], None]) -> None:
        pass

    def ack(self) -> None:
        pass

    def release(self) -> None:
        pass


def _nothing() -> None:
    pass
