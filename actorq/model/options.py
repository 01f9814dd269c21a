"""What a user may set for an actor (the policy) and for one call. Edges normalise: inside, durations are seconds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict

from actorq.errors import ConfigError, UsageError
from actorq.model.address import token
from actorq.model.durations import duration

Duration = float | int | str | timedelta
"""Seconds, a timedelta, or text such as ``"250ms"``, ``"30s"``, ``"1h30m"``."""


def _whole(value: object, what: str, least: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise ConfigError(f"{what} is {value!r}: use a whole number, {least} or more")


def _factor(value: object) -> float:
    if isinstance(value, int | float) and 1 <= value < math.inf:
        return float(value)
    raise ConfigError(f"retry.factor is {value!r}: use a number, 1 (constant) or more")


def _exceptions(kinds: Any, what: str) -> tuple[type[BaseException], ...]:
    if kinds.__class__ is tuple and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return tuple(kinds)
    raise ConfigError(f"{what} is {kinds!r}: use a tuple of exception classes, such as (ValueError,)")


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """When a failed attempt is made again.

    ``max_attempts`` counts every run, the first included. Before run n + 1 it waits
    ``min(max, initial * factor ** (n - 1))`` seconds, with ``jitter`` a random part of that. Exceptions in
    ``no_retry`` fail at once; those in ``restart_on`` also restart the actor.
    """

    max_attempts: int
    initial: float
    factor: float
    max: float
    jitter: bool
    no_retry: tuple[type[BaseException], ...]
    restart_on: tuple[type[BaseException], ...]

    def __init__(
        self,
        max_attempts: int = 4,
        initial: Duration = 1.0,
        factor: float = 2.0,
        max: Duration = 600.0,  # noqa: A002  the user's word for it
        jitter: bool = True,
        no_retry: tuple[type[BaseException], ...] = (),
        restart_on: tuple[type[BaseException], ...] = (),
    ) -> None:
        store = object.__setattr__
        store(self, "max_attempts", _whole(max_attempts, "retry.max_attempts", 1))
        store(self, "initial", duration(initial, "retry.initial"))
        store(self, "factor", _factor(factor))
        store(self, "max", duration(max, "retry.max"))
        store(self, "jitter", jitter)
        store(self, "no_retry", _exceptions(no_retry, "retry.no_retry"))
        store(self, "restart_on", _exceptions(restart_on, "retry.restart_on"))


DEFAULT_RETRY = Retry()
_LATER: Mapping[str, object] = {
    "rate_limit": None, "burst": None, "global_rate_limit": None, "lanes": 1, "priority": 4, "unique": False,
    "max_backlog": 0, "on_full": "raise", "isolation": "thread",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an actor is run. ``timeout``: seconds for one attempt, None: no limit. ``result_ttl``: None: the system's."""

    queue: str = "default"
    concurrency: int = 16
    threads: int = 8
    timeout: float | None = 600.0
    retry: Retry = DEFAULT_RETRY
    result_ttl: float | None = None
    global_concurrency: int = 0
    max_abandoned: int = 0

    @property
    def abandoned_limit(self) -> int:
        """How many abandoned threads end the process."""
        return self.max_abandoned or self.threads

    def merged(self, given: Mapping[str, object], whose: str) -> Policy:
        """This policy with ``given`` laid over it; raises UsageError for what is unknown or not available."""
        known = {f.name for f in dataclasses.fields(self)}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name in _LATER:
                if value != _LATER[name]:
                    raise UsageError(f"{whose}: the option {name!r} is not available in this version: leave it out")
            elif name not in known:
                raise UsageError(
                    f"{whose}: unknown option {name!r}; known are {', '.join(sorted(known | set(_LATER)))}"
                )
            else:
                values[name] = _normal(name, value, f"{whose}: {name}")
        return dataclasses.replace(self, **values)


def _normal(name: str, value: object, what: str) -> object:
    match name:
        case "queue":
            return token(value, what)
        case "timeout" | "result_ttl":
            return None if value is None else duration(value, what)
        case "retry":
            if isinstance(value, Retry):
                return value
            raise UsageError(f"{what} is {value!r}: use Retry(max_attempts=...)")
        case _:
            return _whole(value, what, 1 if name in ("concurrency", "threads") else 0)


class CallOptions(TypedDict, total=False):
    """Keys of ``options(...)``, for one call."""

    queue: str
    delay: Duration
    eta: datetime
    expires: Duration | datetime
    timeout: Duration | None
    deadline: Duration | datetime
    task_id: str
    result_ttl: Duration
    ignore_result: bool
    send_timeout: Duration
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """The options of one call, normalised. Times that are numbers stay relative until the moment of sending.

    ``start`` is what ``delay`` or ``eta`` says; ``time_limit`` what ``timeout`` says, ``NO_LIMIT`` for None.
    """

    queue: str | None = None
    start: float | datetime | None = None
    expires: float | datetime | None = None
    time_limit: float | None = None
    deadline: float | datetime | None = None
    task_id: str | None = None
    result_ttl: float | None = None
    ignore_result: bool = False
    send_timeout: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])


NO_OPTIONS = SendOptions()
NO_LIMIT = -1.0
_LATER_CALL = ("priority", "unique", "retry")
_FIELDS = {"delay": "start", "eta": "start", "timeout": "time_limit"}


def send_options(given: Mapping[str, Any], base: SendOptions = NO_OPTIONS) -> SendOptions:
    """Lay the keys of ``options(...)`` over ``base``; raises UsageError or ConfigError naming the key."""
    if "delay" in given and "eta" in given:
        raise UsageError("options: delay and eta both say when the task starts: give one of them")
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _LATER_CALL:
            raise UsageError(f"options: {name!r} is not available in this version: leave it out")
        if name not in CallOptions.__annotations__:
            raise UsageError(
                f"options: unknown key {name!r}; known are {', '.join(sorted(CallOptions.__annotations__))}"
            )
        values[_FIELDS.get(name, name)] = _call_value(name, value, f"options: {name}")
    return dataclasses.replace(base, **values)


def _call_value(name: str, value: Any, what: str) -> object:
    match name:
        case "queue" | "task_id":
            return token(value, what)
        case "eta" | "expires" | "deadline" if name == "eta" or isinstance(value, datetime):
            return _moment(value, what)
        case "timeout" if value is None:
            return NO_LIMIT
        case "ignore_result":
            return bool(value)
        case "meta":
            return _metadata(value, what)
        case _:
            return duration(value, what)


def _metadata(value: Any, what: str) -> dict[str, Any]:
    try:
        given: dict[Any, Any] = dict(value)
    except (TypeError, ValueError):
        raise UsageError(f"{what} is {value!r}: use a dict") from None
    for key in given:
        if not isinstance(key, str):
            raise UsageError(f"{what} has the key {key!r}: use text as keys")
    return given


def _moment(value: object, what: str) -> datetime:
    if not isinstance(value, datetime):
        raise UsageError(f"{what} takes an aware datetime, not {value!r}")
    if value.tzinfo is None:
        raise UsageError(f"{what}: {value.isoformat()} has no time zone; write datetime.now(UTC) + timedelta(...)")
    return value
