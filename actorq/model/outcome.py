"""How one delivery of a message ended: a closed union, matched exhaustively."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actorq.model.envelope import ErrorInfo, Record


@dataclass(frozen=True, slots=True)
class Done:
    """The handler returned ``value`` (a wire value)."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The task is over without a value. ``reason``: why it goes to the dead letters (F-3)."""

    error: ErrorInfo
    reason: str
    state: str = "failed"


@dataclass(frozen=True, slots=True)
class Repeated:
    """It had ended before: ``record`` is what counts, and its consequences are due once more."""

    record: Record


@dataclass(frozen=True, slots=True)
class HandedBack:
    """It was not run, or not to its end, and is to be run elsewhere; this was no attempt."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another copy carries the task on; this one is only to be acknowledged."""


@dataclass(frozen=True, slots=True)
class Left:
    """Nothing can be said or done from here: the message is left to its lease. ``why`` is for the log."""

    why: str


Outcome = Done | Failed | Repeated | HandedBack | Superseded | Left
