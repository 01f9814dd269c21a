"""Supervisors as people declare them, in code or in a file: every option checked and normalised once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from math import inf
from typing import Any, TypedDict, get_args

from actorq.errors import ConfigError, UsageError
from actorq.model.address import token
from actorq.model.checks import choice, whole
from actorq.model.durations import Duration, duration
from actorq.model.supervision import AutoShutdown, Backoff, Restart, Strategy, SupervisorSpec

CHOICES: Mapping[str, tuple[object, ...]] = {
    "strategy": get_args(Strategy),
    "restart": get_args(Restart),
    "auto_shutdown": get_args(AutoShutdown),
    "significant": (True, False),
}


class SupervisorOptions(TypedDict, total=False):
    """Options of ``system.supervisor``, as in SupervisorSpec and Backoff; durations may be text, such as ``"1m"``."""

    strategy: Strategy
    max_restarts: int
    within: Duration
    backoff: Backoff | Mapping[str, Any]
    auto_shutdown: AutoShutdown
    restart: Restart
    significant: bool
    stop_timeout: Duration


def merged(spec: SupervisorSpec, given: Mapping[str, Any], whose: str) -> SupervisorSpec:
    """``spec`` with ``given`` laid over it. Raises UsageError for an unknown option, ConfigError for a value."""
    known = {field.name for field in dataclasses.fields(spec)} - {"name"}
    values: dict[str, Any] = {}
    for name, value in given.items():
        _check_known(name, known, whose)
        what = f"{whose}: {name}"
        values[name] = _laid_over(spec.backoff, value, what) if name == "backoff" else _normal(name, value, what)
    return dataclasses.replace(spec, **values)


def _normal(name: str, value: Any, what: str) -> object:
    match name:
        case "children":
            return None if value is None else _children(value, what)
        case "max_restarts":
            return whole(value, what, 0)
        case "within" | "stop_timeout":
            return duration(value, what)
        case _:
            return choice(value, CHOICES[name], what)


def _children(names: Any, what: str) -> tuple[str, ...]:
    if type(names) not in (list, tuple):
        raise ConfigError(f"{what} is {names!r}: use a list of actors and supervisors")
    return tuple(token(name, what) for name in names)


def _laid_over(backoff: Backoff, given: Any, what: str) -> Backoff:
    if isinstance(given, Backoff):
        return _laid_over(backoff, dataclasses.asdict(given), what)
    if not hasattr(given, "keys"):
        raise ConfigError(f'{what} is {given!r}: use Backoff(initial=0.1, max=30.0), or a map: {{"initial": "100ms"}}')
    known = {field.name for field in dataclasses.fields(Backoff)}
    for name in given:
        _check_known(name, known, what)
    return dataclasses.replace(backoff, **{name: _of_backoff(name, given[name], f"{what}.{name}") for name in given})


def _of_backoff(name: str, value: Any, what: str) -> float:
    if name in ("initial", "max"):
        return duration(value, what)
    least, most = (1.0, inf) if name == "factor" else (0.0, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most or value == inf:
        allowed = "a number, 1 (constant) or more" if name == "factor" else "a number from 0 to 1"
        raise ConfigError(f"{what} is {value!r}: use {allowed}")
    return float(value)


def _check_known(name: str, known: set[str], whose: str) -> None:
    if name not in known:
        raise UsageError(f"{whose}: unknown option {name!r}; known are {', '.join(sorted(known))}")
