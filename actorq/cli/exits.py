"""Exit codes, and the few words that stand for an error: for the eye, and as a document for --json."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import cast

import actorq
from actorq.errors import (
    ActorqError,
    BrokerUnavailable,
    Cancelled,
    ConfigError,
    DeadlineExceeded,
    DeliveryUnknown,
    Expired,
    InternalError,
    PermissionDenied,
    RemoteError,
    ResultError,
    ResultTimeout,
    SupervisionError,
    TaskError,
    TransportError,
    UsageError,
)

OK = 0
FAILED = 1
USAGE = 2
UNAVAILABLE = 69
GAVE_UP = 70
TIMED_OUT = 75
PERMISSION = 77
CONFIGURATION = 78
INTERRUPTED = 130

# The first class that fits decides, so the narrower ones stand first.
CODES: tuple[tuple[type[ActorqError], int], ...] = (
    (ConfigError, CONFIGURATION),
    (UsageError, USAGE),
    (TaskError, FAILED),
    (ResultTimeout, TIMED_OUT),
    (ResultError, FAILED),
    (PermissionDenied, PERMISSION),
    (DeliveryUnknown, TIMED_OUT),
    (TransportError, UNAVAILABLE),
    (SupervisionError, GAVE_UP),
    (InternalError, GAVE_UP),
)
# What an Exit is called where errors have types.
_KINDS = {
    USAGE: "UsageError",
    UNAVAILABLE: "BrokerUnavailable",
    GAVE_UP: "SupervisionError",
    TIMED_OUT: "ResultTimeout",
    PERMISSION: "PermissionDenied",
    CONFIGURATION: "ConfigError",
    INTERRUPTED: "Interrupted",
}
_NOBODY_HERE = re.compile(r"(no broker can be reached at (?:127\.|localhost:|\[::1\]).*); check the address.*")
_START_ONE = "start one with `actorq server`, or let a worker bring its own with --embedded"
_OWN = str(Path(actorq.__file__).parent)


class Exit(Exception):
    """A command ends with ``code`` and says ``message``, one line on stderr. ``task_id``: the task it was about."""

    def __init__(self, code: int, message: str, *, task_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.task_id = task_id


def describe(error: BaseException) -> tuple[int, str]:
    """Exit code and text for whatever ended a command: one line, or one for each problem of a ConfigError."""
    chosen = _choose(error)
    if isinstance(chosen, Exit):
        return chosen.code, one_line(chosen)
    if isinstance(chosen, ActorqError):
        return next((code for kind, code in CODES if isinstance(chosen, kind)), FAILED), _text(chosen)
    return GAVE_UP, f"{kind_of(chosen)}: {one_line(chosen)} (at {_place(chosen)})"


def failure(error: BaseException) -> dict[str, object]:
    """The document of a command that failed: ``id`` and ``state`` where it was about one task, and ``error``."""
    chosen = _choose(error)
    known: dict[str, object] = {"type": kind_of(chosen), "message": _text(chosen, brief=True)}
    if isinstance(chosen, TaskError):
        known |= {"actor": chosen.actor, "attempts": chosen.attempts, "traceback": chosen.remote_traceback}
    task_id = getattr(chosen, "task_id", "")
    return {**({"id": task_id, "state": _state(chosen)} if task_id else {}), "error": known}


def _text(error: BaseException, *, brief: bool = False) -> str:
    if isinstance(error, TaskError):
        # The text of a plain RemoteError begins with its class, which is told apart from it here.
        said = str(Exception(*error.args) if type(error) is RemoteError else error)
        message = without_task(said, error.task_id, error.actor)
        return message if brief else _task_line(error, message)
    if isinstance(error, ConfigError):
        return "\n".join(" ".join(problem.split()) for problem in error.problems)
    line = one_line(error)
    return _NOBODY_HERE.sub(rf"\1; {_START_ONE}", line) if isinstance(error, BrokerUnavailable) else line


def _state(error: BaseException) -> str:
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, Expired | DeadlineExceeded):
        return "expired"
    return "failed" if isinstance(error, TaskError) else "unknown"


def _task_line(error: TaskError, message: str) -> str:
    text = " ".join(message.split()) or type(error).__name__
    whose = f"task {error.task_id} of {error.actor or 'an unknown actor'}"
    return f"{whose}: {text}" if isinstance(error, Cancelled) else f"{whose} failed: {kind_of(error)}: {text}"


def without_task(message: str, task_id: str, actor: str) -> str:
    """A message that need not say again whose it is."""
    return message.removeprefix(f"task {task_id} of {actor}: ")


def kind_of(error: BaseException) -> str:
    """The name of an error's class; for one that a handler raised, of the original class."""
    if isinstance(error, Exit):
        return _KINDS.get(error.code, "Failed")
    remote = error.type_name if isinstance(error, RemoteError) else ""
    return known_as(remote) or type(error).__name__


def known_as(type_name: str) -> str:
    """A class's qualified name without the module where that says nothing."""
    return type_name.removeprefix("builtins.").removeprefix("actorq.errors.")


def one_line(error: BaseException) -> str:
    """The error's text without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def users_line(error: BaseException, *without: str) -> str:
    """``file:line``, the last of the user's own code; empty if there is none. ``without``: folders besides ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", _OWN, *without))
    ]
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    return "".join(f"{frame.filename}:{frame.lineno}" for frame in (own or frames)[-1:])


def _choose(error: BaseException) -> BaseException:
    """Out of a group the error that says most: one of ours before any other."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        ours, _ = group.split((ActorqError, Exit))
        error = (ours or group).exceptions[0]
    return error


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
