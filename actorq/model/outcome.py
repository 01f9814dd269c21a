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
    """The task is over without a value. ``reason``: why it goes to the dead letters (F-3).

    ``restart``: the failure asks for a restart of the actor, too.
    """

    error: ErrorInfo
    reason: str
    state: str = "failed"
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt failed; the next one is to start ``delay`` seconds from now. ``restart``: as in Failed."""

    error: ErrorInfo
    delay: float
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler put it off: it is to run again ``delay`` seconds from now. This was no attempt."""

    delay: float


@dataclass(frozen=True, slots=True)
class Repeated:
    """It had ended before: ``record`` is what counts, and its consequences are due once more."""

    record: Record


@dataclass(frozen=True, slots=True)
class HandedBack:
    """It was not run, or not to its end, and is to be run elsewhere; this was no attempt.

    ``delay``: not before so many seconds have passed. ``lost``: its process ended, which counts as a lost lease (D-5).
    """

    delay: float = 0.0
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another copy carries the task on; this one is only to be acknowledged."""


@dataclass(frozen=True, slots=True)
class Left:
    """Nothing can be said or done from here: the message is left to its lease. ``why`` is for the log."""

    why: str


Outcome = Done | Failed | Again | Snoozed | Repeated | HandedBack | Superseded | Left
