"""A configuration that was read: typed values, each with the place that it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from actorq.config.keys import KEYS, Key
from actorq.config.problems import Path, Place
from actorq.config.variables import as_variable
from actorq.model.message import StreamSettings
from actorq.model.policy import Policy
from actorq.model.supervision import ROOT, SupervisorSpec

DECORATOR, CODE, DEFAULT = "decorator", "code", "default"


@dataclass(frozen=True, slots=True)
class Value:
    """``value``: typed, durations in seconds. ``elements``: the places of a list's elements, where they are known."""

    value: Any
    place: Place
    elements: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """What the code says. ``policies``: of each actor, in order of declaration; ``given``: which options it gave."""

    policies: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
    given: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    supervisors: Mapping[str, SupervisorSpec] = field(default_factory=dict[str, SupervisorSpec])


@dataclass(frozen=True, slots=True)
class Config:
    """What files, variables and flags say, by path. ``tables``: where the tables stand; ``files``: which were read."""

    values: Mapping[Path, Value] = field(default_factory=dict[Path, Value])
    tables: Mapping[Path, Place] = field(default_factory=dict[Path, Place])
    files: tuple[str, ...] = ()

    # ---- reading

    def get(self, path: str) -> Any:
        """The value of ``worker.backend`` and the like, its default where it is not given."""
        key = KEYS.find(tuple(path.split(".")))
        assert isinstance(key, Key), f"there is no key {path}"
        return self.values[found].value if (found := tuple(path.split("."))) in self.values else key.default

    @property
    def namespace(self) -> str | None:
        """None: the system's own."""
        name: str | None = self.get("namespace")
        return name

    @property
    def worker(self) -> dict[str, Any]:
        """The keys of [worker] that are given."""
        return _values(self._below("worker"))

    @property
    def nats(self) -> dict[str, Any]:
        """The keys of [nats] that are given."""
        return _values(self._below("nats"))

    def streams(self, base: StreamSettings | None = None) -> StreamSettings:
        """[streams] laid over the settings in the code."""
        return dataclasses.replace(base or StreamSettings(), **_values(self._below("streams")))

    def policy_for(self, name: str, declared: Policy, given: frozenset[str]) -> Policy:
        """How the actor runs: its table, over the options that its declaration gave, over [defaults], over the rest.

        Raises UsageError for values that do not go together.
        """
        defaults = {key: value for key, value in _nested(self._below("defaults")).items() if key not in given}
        return declared.merged(defaults, "defaults").merged(_nested(self._named("actors", name)), f"actors.{name}")

    def policies(self, declared: Declared) -> dict[str, Policy]:
        """The same for all actors; ``worker.concurrency`` stands in for every actor's own."""
        slots = {"concurrency": count} if (count := self.get("worker.concurrency")) is not None else {}
        return {
            name: self.policy_for(name, policy, declared.given.get(name, frozenset())).merged(slots, "worker")
            for name, policy in declared.policies.items()
        }

    def supervisors(self, declared: Mapping[str, SupervisorSpec]) -> dict[str, SupervisorSpec]:
        """All supervisors, the root first: what the files say laid over the code."""
        specs = {ROOT: SupervisorSpec(name=ROOT), **declared}
        for name in self.names("supervisors"):
            if not self.stands_for(name, specs):
                specs[name] = SupervisorSpec(name=name)
        return {
            name: _overlaid(spec, self._below("supervisor") if name == ROOT else self._named("supervisors", name))
            for name, spec in specs.items()
        }

    def names(self, table: str) -> list[str]:
        """The names in [actors.NAME] or [supervisors.NAME], in their order."""
        return list(dict.fromkeys(str(path[1]) for path in (*self.tables, *self.values) if _is_below(path, table)))

    def stands_for(self, name: str, known: Iterable[str]) -> bool:
        """Whether a name from here is one of those that the program or a file has."""
        return any(_same(name, each) for each in known)

    # ---- places

    def origin(self, path: str) -> str:
        """Where ``worker.backend`` and the like comes from: a file's line, a variable, a flag, or ``default``."""
        value = self.values.get(tuple(path.split(".")))
        return str(value.place) if value is not None else DEFAULT

    def policy_origin(self, name: str, option: str, declared: Declared) -> str:
        """Where an actor's ``timeout`` or ``retry.initial`` comes from."""
        path = tuple(option.split("."))
        if path == ("concurrency",) and self.get("worker.concurrency") is not None:
            return self.origin("worker.concurrency")
        if path in (own := self._named("actors", name)):
            return str(own[path].place)
        if path[0] in declared.given.get(name, ()):
            return DECORATOR
        if ("defaults", *path) in self.values:
            return self.origin(f"defaults.{option}")
        usual = getattr(declared.policies[name], path[0]) == getattr(Policy(), path[0])
        return DEFAULT if usual else CODE

    def supervisor_origin(self, name: str, option: str, declared: Mapping[str, SupervisorSpec]) -> str:
        """Where a supervisor's ``strategy`` or ``backoff.initial`` comes from."""
        own = self._below("supervisor") if name == ROOT else self._named("supervisors", name)
        value = own.get(tuple(option.split(".")))
        return str(value.place) if value is not None else CODE if name in declared else DEFAULT

    def place(self, path: Path, element: int | None = None) -> Place | None:
        """Where a key, one element of its list, or what is in or around it stands; None: it is not given here."""
        inside = (value.place for own, value in self.values.items() if own[: len(path)] == path)
        if path not in self.values and path not in self.tables and (first := next(inside, None)):
            return first
        while path:
            value = self.values.get(path)
            if value is not None:
                return next(iter(value.elements[element:]), value.place) if element is not None else value.place
            if path in self.tables:
                return self.tables[path]
            path = path[:-1]
        return None

    def is_from_file(self, path: str) -> bool:
        """Whether the key is given, and by a file."""
        value = self.values.get(tuple(path.split(".")))
        return value is not None and value.place.line > 0

    def with_flags(self, flags: Mapping[str, tuple[str, Any]]) -> Config:
        """The same with values from the command line over all others: by path, the flag and its value."""
        return self.laid_over({path: (f"flag {flag}", value) for path, (flag, value) in flags.items()})

    def laid_over(self, given: Mapping[str, tuple[str, Any]]) -> Config:
        """The same with other values over these: by path, where each is from and the value inside."""
        over: dict[Path, Value] = {
            tuple(path.split(".")): Value(value, Place(source)) for path, (source, value) in given.items()
        }
        return dataclasses.replace(self, values={**self.values, **over})

    def _below(self, *table: str) -> dict[Path, Value]:
        return {path[len(table) :]: value for path, value in self.values.items() if path[: len(table)] == table}

    def _named(self, table: str, name: str) -> dict[Path, Value]:
        """What is given under a name of the user's own; variables, in which names lose their case, last."""
        found = self._below(table, name)
        for path, value in self.values.items():
            if value.place.is_variable and _is_below(path, table) and _same(str(path[1]), name):
                found[path[2:]] = value
        return found


def _is_below(path: Path, table: str) -> bool:
    return len(path) > 1 and path[0] == table


def _same(variable: str, name: str) -> bool:
    return variable in (name, as_variable(name))


def _values(given: Mapping[Path, Value]) -> dict[str, Any]:
    return {str(path[0]): value.value for path, value in given.items()}


def _nested(given: Mapping[Path, Value]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for path, value in given.items():
        table = options
        for name in path[:-1]:
            table = table.setdefault(str(name), {})
        table[str(path[-1])] = value.value
    return options


def _overlaid(spec: SupervisorSpec, given: Mapping[Path, Value]) -> SupervisorSpec:
    options = _nested(given)
    backoff = dataclasses.replace(spec.backoff, **options.pop("backoff", {}))
    return dataclasses.replace(spec, **options, backoff=backoff)
