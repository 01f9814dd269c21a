"""When a failed attempt is made again, as a value. The decision is ``actorq.core.retrying``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actorq.errors import ConfigError, UsageError
from actorq.model.checks import whole
from actorq.model.durations import Duration, duration

Kind = type[BaseException] | str
"""An exception class, or its full name: ``"shop.db.PoolBroken"``."""


def _factor(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < math.inf:
        return float(value)
    raise ConfigError(f"retry.factor is {value!r}: use a number, 1 (constant) or more")


def _kinds(kinds: Sequence[Kind], what: str) -> tuple[Kind, ...]:
    if isinstance(kinds, tuple | list) and all(_is_kind(kind) for kind in kinds):
        return tuple(kinds)
    raise ConfigError(f"{what} is {kinds!r}: use a tuple of exception classes or their full names: (ValueError,)")


def _is_kind(kind: object) -> bool:
    if isinstance(kind, str):
        return all(part.isidentifier() or part == "<locals>" for part in kind.split("."))
    return isinstance(kind, type) and issubclass(kind, BaseException)


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """When a failed attempt is made again.

    ``max_attempts`` counts every run, the first included. Before run n + 1 it waits
    ``min(max, initial * factor ** (n - 1))`` seconds, with ``jitter`` a random part of that. Exceptions in
    ``no_retry`` fail at once; those in ``restart_on`` also restart the actor. Both take classes or their full names,
    and mean derived classes, too.
    """

    max_attempts: int
    initial: float
    factor: float
    max: float
    jitter: bool
    no_retry: tuple[Kind, ...]
    restart_on: tuple[Kind, ...]

    def __init__(
        self,
        max_attempts: int = 4,
        initial: Duration = 1.0,
        factor: float = 2.0,
        max: Duration = 600.0,  # noqa: A002  the user's word for it
        jitter: bool = True,
        no_retry: Sequence[Kind] = (),
        restart_on: Sequence[Kind] = (),
    ) -> None:
        store = object.__setattr__
        store(self, "max_attempts", whole(max_attempts, "retry.max_attempts", 1))
        store(self, "initial", duration(initial, "retry.initial"))
        store(self, "factor", _factor(factor))
        store(self, "max", duration(max, "retry.max"))
        store(self, "jitter", _flag(jitter, "retry.jitter"))
        store(self, "no_retry", _kinds(no_retry, "retry.no_retry"))
        store(self, "restart_on", _kinds(restart_on, "retry.restart_on"))

    def merged(self, given: Mapping[str, Any]) -> Retry:
        """This policy with ``given`` laid over it. Raises UsageError for an unknown key, ConfigError for a value."""
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for key in given:
            if key not in known:
                raise UsageError(f"retry: unknown key {key!r}; known are {', '.join(sorted(known))}")
        return Retry(**{**known, **given})


def _flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigError(f"{what} is {value!r}: use true or false")


DEFAULT_RETRY = Retry()
