"""What a user may set for an actor (the policy) and for one call. Edges normalise: inside, durations are seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict

from actorq.errors import ConfigError, UsageError
from actorq.model.address import token
from actorq.model.durations import duration

Duration = float | int | str | timedelta
"""Seconds, a timedelta, or text such as ``"250ms"``, ``"30s"``, ``"1h30m"``."""


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
        if max_attempts < 1:
            raise ConfigError(f"retry.max_attempts is {max_attempts}: use 1 (no retry) or more")
        if factor < 1:
            raise ConfigError(f"retry.factor is {factor}: use 1 (constant) or more")
        store = object.__setattr__
        store(self, "max_attempts", max_attempts)
        store(self, "initial", duration(initial, "retry.initial"))
        store(self, "factor", float(factor))
        store(self, "max", duration(max, "retry.max"))
        store(self, "jitter", jitter)
        store(self, "no_retry", tuple(no_retry))
        store(self, "restart_on", tuple(restart_on))


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

    def __post_init__(self) -> None:
        token(self.queue, "queue")
        for name in ("concurrency", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: use 1 or more")
        if self.global_concurrency < 0:
            raise ConfigError(f"global_concurrency is {self.global_concurrency}: use 0 (no limit) or more")

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
                    raise UsageError(f"{whose}: the option {name!r} is not available in this version")
            elif name not in known:
                raise UsageError(
                    f"{whose}: unknown option {name!r}; known are {', '.join(sorted(known | set(_LATER)))}"
                )
            else:
                values[name] = _normal(name, value, whose)
        return dataclasses.replace(self, **values)


def _normal(name: str, value: object, whose: str) -> object:
    if name in ("timeout", "result_ttl") and value is not None:
        return duration(value, f"{whose}: {name}")
    if name == "retry" and not isinstance(value, Retry):
        raise UsageError(f"{whose}: retry takes Retry(...), not {value!r}")
    return value


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
    """The options of one call, normalised. Relative times stay relative until the moment of sending."""

    queue: str | None = None
    delay: float | None = None
    eta: float | None = None
    expires: float | None = None
    expires_at: float | None = None
    time_limit: float | None = None
    unlimited: bool = False
    deadline: float | None = None
    deadline_at: float | None = None
    task_id: str | None = None
    result_ttl: float | None = None
    ignore_result: bool = False
    send_timeout: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])


NO_OPTIONS = SendOptions()
_LATER_CALL = ("priority", "unique", "retry")
_RELATIVE = {"delay": "delay", "result_ttl": "result_ttl", "send_timeout": "send_timeout"}


def send_options(given: Mapping[str, Any], base: SendOptions = NO_OPTIONS) -> SendOptions:
    """Lay the keys of ``options(...)`` over ``base``; raises UsageError or ConfigError naming the key."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _LATER_CALL:
            raise UsageError(f"options: {name!r} is not available in this version")
        if name not in CallOptions.__annotations__:
            raise UsageError(
                f"options: unknown key {name!r}; known are {', '.join(sorted(CallOptions.__annotations__))}"
            )
        values |= _call_value(name, value)
    return dataclasses.replace(base, **values)


def _call_value(name: str, value: Any) -> dict[str, Any]:
    what = f"options: {name}"
    if name in ("queue", "task_id"):
        return {name: token(value, what)}
    if name in _RELATIVE:
        return {_RELATIVE[name]: duration(value, what)}
    if name == "eta":
        return {"eta": _moment(value, what)}
    if name == "timeout":
        return {"time_limit": None, "unlimited": True} if value is None else {"time_limit": duration(value, what)}
    if name in ("expires", "deadline"):
        return {f"{name}_at": _moment(value, what)} if isinstance(value, datetime) else {name: duration(value, what)}
    return {name: bool(value) if name == "ignore_result" else dict(value)}


def _moment(value: object, what: str) -> float:
    if not isinstance(value, datetime):
        raise UsageError(f"{what} takes an aware datetime, not {value!r}")
    if value.tzinfo is None:
        raise UsageError(f"{what}: {value.isoformat()} has no time zone; write datetime.now(UTC) + timedelta(...)")
    return value.timestamp()
