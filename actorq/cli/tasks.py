"""``actorq send``, ``result`` and ``task show``: one task from the shell."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Timer
from time import monotonic
from typing import Any

import anyio

from actorq.cli.arguments import Texts
from actorq.cli.exits import CONFIGURATION, INTERRUPTED, OK, TIMED_OUT, Exit, known_as, without_task
from actorq.cli.output import data, document, fields, masked, moment, shown, talk
from actorq.cli.settings import DEFAULTS, App, Common, Flag, Seconds
from actorq.client import Whereabouts
from actorq.errors import ConfigError, ResultTimeout, TaskError
from actorq.handle import Handle
from actorq.model.address import parse_address, token
from actorq.system import ActorSystem

SHORTEST_CONNECT = 1.0
NOTICE_AFTER = 1.5
WATCH_EVERY = 0.25
ENDED = ("succeeded", "failed", "cancelled", "expired")


class Wait:
    """How long a command may take, connecting included; None for ever. ``task_id``: which one it is about."""

    def __init__(self, timeout: float | None, task_id: str = "") -> None:
        self.task_id = task_id
        self.timeout = timeout
        self._end = None if timeout is None else monotonic() + timeout

    @property
    def left(self) -> float | None:
        """Seconds."""
        return None if self._end is None else max(0.0, self._end - monotonic())

    def limit(self, seconds: float) -> float:
        """At most ``seconds``; at least what a broker next door needs, however little is left."""
        return seconds if self.left is None else min(seconds, max(SHORTEST_CONNECT, self.left))

    def run(self, system: ActorSystem, work: Callable[[], Awaitable[int]]) -> int:
        """Do ``work`` with the system connected; give its exit code."""
        system.connection["connect_timeout"] = self.limit(system.connection.get("connect_timeout", 10.0))
        system.send_timeout = self.limit(system.send_timeout)
        try:
            return anyio.run(self._connected, system, work)
        except KeyboardInterrupt as error:
            goes_on = f"; task {self.task_id} goes on" if self.task_id else ""
            raise Exit(INTERRUPTED, f"interrupted{goes_on}", task_id=self.task_id) from error

    async def _connected(self, system: ActorSystem, work: Callable[[], Awaitable[int]]) -> int:
        notice = Timer(NOTICE_AFTER, talk, [f"actorq: waiting for a broker at {masked(system.url)}; Ctrl-C ends it"])
        notice.daemon = True
        if sys.stderr.isatty():  # elsewhere the one line at the end is enough
            notice.start()
        try:
            async with system:
                notice.cancel()
                return await work()
        finally:
            notice.cancel()


def send(
    actor: str,
    /,
    *args: str,
    kw: list[str] | None = None,
    queue: str | None = None,
    delay: Seconds | None = None,
    wait: Flag = False,
    timeout: Seconds | None = None,
    app: App = None,
    common: Common = DEFAULTS,
) -> int:
    """Send a task and print its id, or with --wait its value.

    Parameters
    ----------
    actor
        Its name, or ACTOR.METHOD for one that is a class.
    args
        Arguments, each JSON or else text: 3 is a number, '"3"' is text; with --app also 3 where the actor takes text.
    kw
        A keyword argument, NAME=VALUE; may be given several times.
    queue
        Another queue than the actor's own.
    delay
        Not before so much time has passed: seconds, or 30s, 5m.
    wait
        Wait for the value.
    timeout
        Take at most so long, connecting included: seconds, or 30s, 5m. Implies --wait.
    """
    name, _ = parse_address(actor)
    texts = Texts.of(args, kw or ())
    system = common.reach(app)
    target = system.actors.get(name)
    if app is not None and target is None:
        known = ", ".join(sorted(system.actors)) or "none"
        talk(f"actorq: {system.name} has no actor {name!r} (it has {known}): sent for whoever may have it")
    arguments, keywords = texts.values() if target is None else texts.fitting(target.at(actor))
    # Who misspells a namespace makes a new one: that has to be seen.
    logging.getLogger("actorq.nats").setLevel(logging.INFO)
    waiting = Wait(timeout)
    given: dict[str, Any] = {"queue": queue, "delay": delay}
    address = system.ref(actor).options(**{key: value for key, value in given.items() if value is not None})

    async def work() -> int:
        handle = await address.send(*arguments, **keywords)
        waiting.task_id = handle.id
        if wait or timeout is not None:
            return await _await(handle, waiting, common)
        if common.as_json:
            document({"id": handle.id, "duplicate": handle.duplicate})
        else:
            data(handle.id)
        return OK

    return waiting.run(system, work)


def result(task_id: str, /, *, timeout: Seconds | None = None, app: App = None, common: Common = DEFAULTS) -> int:
    """Wait for a task's value and print it.

    Parameters
    ----------
    task_id
        What `actorq send` printed, or a handle's id.
    timeout
        Take at most so long, connecting included: seconds, or 30s, 5m.
    """
    token(task_id, "task id")
    system = common.reach(app, reading=True)
    waiting = Wait(timeout, task_id)

    async def work() -> int:
        return await _await(system.handle(task_id), waiting, common)

    return reading(system, waiting, work)


def show(task_id: str, /, *, app: App = None, common: Common = DEFAULTS) -> int:
    """Show the state of a task and what is known of it.

    Parameters
    ----------
    task_id
        What `actorq send` printed, or a handle's id.
    """
    token(task_id, "task id")
    system = common.reach(app, reading=True)

    async def work() -> int:
        known = await _look(system, task_id)
        if common.as_json:
            document(known)
            return OK
        remote_traceback = known.pop("traceback", None)
        data(fields(known))
        if remote_traceback:
            data(str(remote_traceback).rstrip())
        return OK

    return reading(system, Wait(None), work)


def watch(task_id: str, /, *, timeout: Seconds | None = None, app: App = None, common: Common = DEFAULTS) -> int:
    """Follow the states of a task until it has ended, then print its value.

    Parameters
    ----------
    task_id
        What `actorq send` printed, or a handle's id.
    timeout
        Take at most so long, connecting included: seconds, or 30s, 5m.
    """
    token(task_id, "task id")
    system = common.reach(app, reading=True)
    waiting = Wait(timeout, task_id)

    async def work() -> int:
        handle, state = system.handle(task_id), ""
        with anyio.move_on_after(waiting.left):
            while state not in ENDED:
                last, state = state, await handle.status()
                if state != last:
                    talk(f"{moment(system.client.transport.now())}  {state}")
                await _pause(handle)
        return await _await(handle, waiting, common)

    return reading(system, waiting, work)


async def _pause(handle: Handle[Any]) -> None:
    """Until the task ends, but not for long. What it ended with is told later."""
    with suppress(TaskError, ResultTimeout):
        await handle.result(timeout=WATCH_EVERY)


def reading(system: ActorSystem, waiting: Wait, work: Callable[[], Awaitable[int]]) -> int:
    """The same for a system that has to exist. Raises Exit where it does not."""
    try:
        return waiting.run(system, work)
    except ConfigError as error:
        if all(problem.startswith("stream ") and " does not exist" in problem for problem in error.problems):
            name = system.namespace.prefix.removeprefix("aq-")
            text = (
                f"there is no system {name!r} at this broker: check --namespace and --server; the first worker or"
                " `actorq send` makes it"
            )
            raise Exit(CONFIGURATION, text, task_id=waiting.task_id) from error
        raise


async def _await(handle: Handle[Any], waiting: Wait, common: Common) -> int:
    try:
        outcome = await handle.result(waiting.left)
    except ResultTimeout as error:
        text = f"task {handle.id} has no outcome after {waiting.timeout:g} s; it goes on: actorq result {handle.id}"
        raise Exit(TIMED_OUT, text, task_id=handle.id) from error
    if common.as_json:
        document({"id": handle.id, "state": "succeeded", "value": outcome})
    else:
        data(shown(outcome))
    return OK


async def _look(system: ActorSystem, task_id: str) -> dict[str, object]:
    found = await system.client.find(task_id)
    state = found.state if found.record is not None else await system.client.status(task_id)
    return {"id": task_id, "state": state, **_waiting(found), **_ended(found)}


def _waiting(found: Whereabouts) -> dict[str, object]:
    if found.envelope is None or found.copy is None:
        return {}
    envelope = found.envelope
    return {
        "actor": envelope.to, "attempt": envelope.attempt, "stored": moment(found.copy.at),
        "expires": moment(envelope.expires or 0), "deadline": moment(envelope.deadline or 0),
        "subject": found.copy.subject,
    }  # fmt: skip


def _ended(found: Whereabouts) -> dict[str, object]:
    record = found.record
    if record is None:
        return {}
    known: dict[str, object] = {"attempts": record.attempts, "ended": moment(record.at), "worker": record.worker}
    if record.error is None:
        return known | {"value": record.value}
    error = record.error
    return known | {
        "actor": error.actor, "error": known_as(error.type_name),
        "message": without_task(error.message, record.id, error.actor),
        "dead_letter": record.reason, "traceback": error.traceback,
    }  # fmt: skip
