"""Whether a failed attempt is made again, and after how long (semantics F, layer 1). Pure: the caller draws the lot.

Exceptions are known by the names of their classes, so that one raised in another process is decided on as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actorq.core.remote import type_name
from actorq.errors import RemoteError
from actorq.model.retry import Kind, Retry


@dataclass(frozen=True, slots=True)
class Again:
    """Make another attempt after ``delay`` seconds. ``restart``: the failure also asks for the actor's restart."""

    delay: float
    restart: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """That was the last attempt. ``restart``: as in Again."""

    restart: bool


def decide(retry: Retry, names: Sequence[str], attempt: int, draw: float) -> Again | GiveUp:
    """What follows when run number ``attempt`` has raised an exception of the classes ``names``.

    ``draw``: a random number from 0 up to 1, which is with jitter the part of the backoff that is waited.
    """
    restart = _meets(retry.restart_on, names)
    if attempt >= retry.max_attempts or _meets(retry.no_retry, names):
        return GiveUp(restart)
    return Again(backoff(retry, attempt) * (draw if retry.jitter else 1.0), restart)


def backoff(retry: Retry, attempt: int) -> float:
    """Seconds between the end of run number ``attempt`` (from 1) and the next, before jitter."""
    if not retry.initial:
        return 0.0
    try:
        return min(retry.max, retry.initial * retry.factor ** (attempt - 1))
    except OverflowError:
        return retry.max


def names_of(error: BaseException) -> tuple[str, ...]:
    """The names of an exception's class and of all that it derives from, as ``decide`` takes them."""
    names = tuple(type_name(kind) for kind in type(error).__mro__)
    return (error.type_name, *names) if isinstance(error, RemoteError) else names


def named(retry: Retry) -> Retry:
    """The same policy with names for the classes in it, as it can travel. Raises ConfigError for one without a name."""
    return retry.merged({key: [_name(kind) for kind in getattr(retry, key)] for key in ("no_retry", "restart_on")})


def _meets(kinds: Sequence[Kind], names: Sequence[str]) -> bool:
    return any(_name(kind) in names for kind in kinds)


def _name(kind: Kind) -> str:
    """As ``type_name`` has it, also where people write where they import it from."""
    if not isinstance(kind, str):
        return type_name(kind)
    module, _, name = kind.rpartition(".")
    return {"builtins": name, "actorq": f"actorq.errors.{name}"}.get(module, kind)
