"""Exit codes, and the one line that stands for an error."""

from __future__ import annotations

import traceback
from typing import cast

from actorq.errors import (
    ActorqError,
    ConfigError,
    DeliveryUnknown,
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


class Exit(Exception):
    """A command ends with ``code`` and says ``message``, one line on stderr."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def describe(error: BaseException) -> tuple[int, str]:
    """Exit code and one line for whatever ended a command."""
    chosen = _choose(error)
    if isinstance(chosen, Exit):
        return chosen.code, str(chosen)
    if isinstance(chosen, ActorqError):
        code = next((code for kind, code in CODES if isinstance(chosen, kind)), FAILED)
        return code, task_line(chosen) if isinstance(chosen, TaskError) else one_line(chosen)
    return GAVE_UP, f"{kind_of(chosen)}: {one_line(chosen)} (at {_place(chosen)})"


def task_line(error: TaskError) -> str:
    """How a task ended without a value."""
    return f"task {error.task_id} of {error.actor or 'an unknown actor'} failed: {kind_of(error)}: {one_line(error)}"


def kind_of(error: BaseException) -> str:
    """The name of an error's class; for one that a handler raised, of the original class."""
    remote = error.type_name if isinstance(error, RemoteError) else ""
    return remote.removeprefix("builtins.") or type(error).__name__


def one_line(error: BaseException) -> str:
    """The error's text without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


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
