"""How an actor is run: every option that a declaration or a configuration file may give, normalised once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from actorq.errors import ConfigError, UsageError
from actorq.model.address import token
from actorq.model.checks import choice, whole
from actorq.model.durations import Rate, duration, rate
from actorq.model.retry import DEFAULT_RETRY, Retry
from actorq.model.supervision import Restart

LATER: Mapping[str, object] = {
    "global_rate_limit": None, "lanes": 1, "priority": 4, "unique": False, "max_backlog": 0, "on_full": "raise",
}  # fmt: skip
"""Options of later versions, each with the value that it has until then."""

CHOICES: Mapping[str, tuple[object, ...]] = {
    "isolation": ("thread", "process"),
    "restart": ("permanent", "transient", "temporary"),
    "significant": (True, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an actor is run. ``timeout``: seconds for one attempt, None: no limit. ``result_ttl``: None: the system's.

    ``rate_limit``: starts in each worker, None: no limit; ``burst``: how many of them at once, 0: the rate's count.
    ``isolation``: "process" runs each attempt in a child process. ``restart`` and ``significant``: as in ChildSpec.
    """

    queue: str = "default"
    concurrency: int = 16
    threads: int = 8
    timeout: float | None = 600.0
    retry: Retry = DEFAULT_RETRY
    result_ttl: float | None = None
    rate_limit: Rate | None = None
    burst: int = 0
    global_concurrency: int = 0
    isolation: Literal["thread", "process"] = "thread"
    max_abandoned: int = 0
    restart: Restart = "permanent"
    significant: bool = False

    @property
    def abandoned_limit(self) -> int:
        """How many abandoned threads end the process."""
        return self.max_abandoned or self.threads

    def merged(self, given: Mapping[str, object], whose: str) -> Policy:
        """This policy with ``given`` laid over it; raises UsageError for what is unknown or not available.

        ``retry`` may be a Retry, or a map of some of its keys, laid over the present one.
        """
        known = {f.name for f in dataclasses.fields(self)}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name in LATER:
                if value != LATER[name]:
                    raise UsageError(f"{whose}: the option {name!r} is not available in this version: leave it out")
            elif name not in known:
                raise UsageError(f"{whose}: unknown option {name!r}; known are {', '.join(sorted(known | set(LATER)))}")
            elif name == "retry" and isinstance(value, Mapping):
                values[name] = self.retry.merged(cast("Mapping[str, Any]", value))
            else:
                values[name] = _normal(name, value, f"{whose}: {name}")
        return dataclasses.replace(self, **values)


def _normal(name: str, value: object, what: str) -> object:
    match name:
        case "queue":
            return token(value, what)
        case "timeout" | "result_ttl":
            seconds = None if value is None else duration(value, what)
            if seconds == 0:
                raise ConfigError(f"{what} is 0 s: nothing could be done in that time; None is no limit")
            return seconds
        case "rate_limit":
            return value if value is None or isinstance(value, Rate) else rate(value, what)
        case "isolation" | "restart" | "significant":
            return choice(value, CHOICES[name], what)
        case "retry":
            if isinstance(value, Retry):
                return value
            raise UsageError(f"{what} is {value!r}: use Retry(max_attempts=...)")
        case _:
            return whole(value, what, 1 if name in ("concurrency", "threads") else 0)
