"""``actorq send``, ``result`` and ``task show``: one task from the shell."""

from __future__ import annotations

import json
from typing import Any

import anyio

from actorq.cli.exits import FAILED, OK, USAGE, Exit, kind_of, task_line
from actorq.cli.output import data, document, fields, moment, shown, talk
from actorq.cli.settings import DEFAULTS, App, Common, Seconds
from actorq.client import Whereabouts
from actorq.errors import Cancelled, DeadlineExceeded, Expired, TaskError
from actorq.handle import Handle
from actorq.model.address import parse_address, token
from actorq.system import ActorSystem


def send(
    actor: str,
    /,
    *args: str,
    kw: list[str] | None = None,
    wait: bool = False,
    timeout: Seconds | None = None,
    app: App = None,
    common: Common = DEFAULTS,
) -> int:
    """Send a task and print its id, or with --wait its value.

    Parameters
    ----------
    actor
        Its name.
    args
        Arguments, each JSON or else text: 3 is a number, '"3"' is text.
    kw
        A keyword argument, NAME=VALUE; may be given several times.
    wait
        Wait for the value.
    timeout
        Wait at most so long: seconds, or 30s, 5m. Implies --wait.
    """
    parse_address(actor)
    arguments, keywords = [value(text) for text in args], dict(_pair(text) for text in kw or ())
    system = common.system(app)

    async def run() -> int:
        async with system:
            handle = await system.send(actor, *arguments, **keywords)
            if wait or timeout is not None:
                return await _await(handle, timeout, common)
            if common.as_json:
                document({"id": handle.id, "duplicate": handle.duplicate})
            else:
                data(handle.id)
            return OK

    return anyio.run(run)


def result(task_id: str, /, *, timeout: Seconds | None = None, app: App = None, common: Common = DEFAULTS) -> int:
    """Wait for a task's value and print it.

    Parameters
    ----------
    task_id
        What `actorq send` printed, or a handle's id.
    timeout
        Wait at most so long: seconds, or 30s, 5m.
    """
    token(task_id, "task id")
    system = common.system(app)

    async def run() -> int:
        async with system:
            return await _await(system.handle(task_id), timeout, common)

    return anyio.run(run)


def show(task_id: str, /, *, app: App = None, common: Common = DEFAULTS) -> int:
    """Show the state of a task and what is known of it.

    Parameters
    ----------
    task_id
        What `actorq send` printed, or a handle's id.
    """
    token(task_id, "task id")
    known = anyio.run(_look, common.system(app), task_id)
    if common.as_json:
        document(known)
        return OK
    remote_traceback = known.pop("traceback", None)
    data(fields(known))
    if remote_traceback:
        data(str(remote_traceback).rstrip())
    return OK


def value(text: str) -> Any:
    """An argument from the shell: JSON if it is that, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _pair(text: str) -> tuple[str, Any]:
    name, equals, rest = text.partition("=")
    if not (equals and name.isidentifier()):
        raise Exit(USAGE, f"--kw {text!r} is not NAME=VALUE: write for example --kw size=128")
    return name, value(rest)


async def _await(handle: Handle[Any], timeout: float | None, common: Common) -> int:
    try:
        outcome = await handle.result(timeout)
    except TaskError as error:
        talk(f"actorq: {task_line(error)}")
        if common.as_json:
            document({"id": handle.id, "state": _state(error), "error": _error(error)})
        return FAILED
    if common.as_json:
        document({"id": handle.id, "state": "succeeded", "value": outcome})
    else:
        data(shown(outcome))
    return OK


def _state(error: TaskError) -> str:
    if isinstance(error, Cancelled):
        return "cancelled"
    return "expired" if isinstance(error, Expired | DeadlineExceeded) else "failed"


def _error(error: TaskError) -> dict[str, object]:
    return {
        "type": kind_of(error), "message": str(error), "actor": error.actor, "attempts": error.attempts,
        "traceback": error.remote_traceback,
    }  # fmt: skip


async def _look(system: ActorSystem, task_id: str) -> dict[str, object]:
    async with system:
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
        "actor": error.actor, "error": error.type_name.removeprefix("builtins."), "message": error.message,
        "dead_letter": record.reason, "traceback": error.traceback,
    }  # fmt: skip
