"""What a user may set for one call. Edges normalise: inside, durations are seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from actorq.errors import UsageError
from actorq.model.address import token
from actorq.model.durations import Duration, duration
from actorq.model.retry import Retry


class CallOptions(TypedDict, total=False):
    """Keys of ``options(...)``, for one call."""

    queue: str
    delay: Duration
    eta: datetime
    expires: Duration | datetime
    timeout: Duration | None
    deadline: Duration | datetime
    task_id: str
    retry: Retry
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
    retry: Retry | None = None
    result_ttl: float | None = None
    ignore_result: bool = False
    send_timeout: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])


NO_OPTIONS = SendOptions()
NO_LIMIT = -1.0
_LATER_CALL = ("priority", "unique")
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
        case "queue" | "task_id" | "retry" | "meta":
            return _CHECKS[name](value, what)
        case "eta" | "expires" | "deadline" if name == "eta" or isinstance(value, datetime):
            return _moment(value, what)
        case "timeout" if value is None:
            return NO_LIMIT
        case "ignore_result":
            return bool(value)
        case _:
            return duration(value, what)


def _retry(value: object, what: str) -> Retry:
    if isinstance(value, Retry):
        return value
    raise UsageError(f"{what} is {value!r}: use Retry(max_attempts=...)")


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


_CHECKS: Mapping[str, Callable[[Any, str], object]] = {
    "queue": token, "task_id": token, "retry": _retry, "meta": _metadata,
}  # fmt: skip
