"""``actorq config``: every problem of a configuration at once, where each value comes from, the schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from cyclopts import Parameter

from actorq.cli.exits import CONFIGURATION, OK, USAGE, Exit
from actorq.cli.output import columns, data, document, talk
from actorq.cli.settings import DEFAULTS, Common, Flag, nats_environment
from actorq.cli.target import load
from actorq.config.config import CODE, DEFAULT, Config, Declared
from actorq.config.keys import KEYS, Key, Table
from actorq.config.plan import Report, examine, settle, sound
from actorq.config.problems import Problem, dotted
from actorq.config.reading import Draft
from actorq.config.schema import schema as schema_of_keys
from actorq.config.writing import masked
from actorq.model.durations import Rate
from actorq.model.message import StreamSettings
from actorq.model.supervision import ROOT, SupervisorSpec
from actorq.planning import declared_by
from actorq.system import ActorSystem

HIDDEN = "***"
Target = Annotated[str | None, Parameter(env_var="ACTORQ_APP")]


def check(target: Target = None, /, *, common: Common = DEFAULTS) -> int:
    """Check the configuration, and whether it fits the program; tell all problems at once.

    Parameters
    ----------
    target
        MODULE:SYSTEM, instead of the one that the file names.
    """
    draft = common.draft()
    system, trouble = _program(draft, target)
    draft = replace(draft, problems=(*draft.problems, *trouble))
    report = examine(draft, None if system is None else declared_by(system))
    for problem in report.problems:
        talk(str(problem))
    for warning in () if report.problems else report.warnings:
        talk(f"warning: {warning}")
    if system is None:
        talk("names of actors are not checked: " + ("see above" if trouble else "name the program, MODULE:SYSTEM"))
    if common.as_json:
        document(_document(draft.config, report))
    elif not report.problems:
        data(_ok(draft.config, report))
    return CONFIGURATION if report.problems else OK


def _program(draft: Draft, target: str | None) -> tuple[ActorSystem | None, tuple[Problem, ...]]:
    """The system that is meant, or why there is none. Raises Exit for a target of another form."""
    app: str | None = target or draft.config.get("worker.app")
    if app is None:
        return None, ()
    try:
        return load(app), ()
    except Exit as error:
        if error.code == USAGE:
            raise
        place = None if target else draft.config.place(("worker", "app"))
        return None, (Problem(str(error), place, "" if target else "worker.app"),)


def _ok(config: Config, report: Report) -> str:
    where = ", ".join(config.files) or "no file"
    counts = [f"{len(config.values)} settings"]
    if report.plan is not None:
        nodes = [*report.plan.tree.root.walk()]
        supervisors = sum(node.supervisor is not None for node in nodes)
        counts += [_count(supervisors, "supervisor"), _count(len(nodes) - supervisors, "actor")]
    return f"ok: {where}: {', '.join(counts)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _document(config: Config, report: Report) -> dict[str, object]:
    problems = [
        {
            "file": problem.place.source if problem.place else None,
            "line": problem.place.line or None if problem.place else None,
            "path": problem.path,
            "problem": problem.text,
        }
        for problem in report.problems
    ]
    return {"ok": not problems, "files": list(config.files), "problems": problems, "warnings": list(report.warnings)}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting with its effective value."""

    path: str
    key: Key
    value: Any
    origin: str

    @property
    def plain(self) -> Any:
        """For a document: durations in seconds, sizes in bytes."""
        return str(self._shown) if isinstance(self.value, Rate) else self._shown

    @property
    def text(self) -> str:
        """As a file would have it."""
        if self.value is None or self.key.secret:
            return str(self._shown or "none")
        return self.key.kind.spell(self._shown)

    @property
    def _shown(self) -> Any:
        """The value, without its secrets."""
        if self.path == "nats.servers":
            return tuple(masked(url) for url in self.value)
        return HIDDEN if self.key.secret and self.value is not None else self.value


def show(target: Target = None, /, *, origin: Flag = False, common: Common = DEFAULTS) -> int:
    """Show every setting with its effective value.

    Parameters
    ----------
    target
        MODULE:SYSTEM, instead of the one that the file names: for its actors, and for what its code says.
    origin
        Also where each value comes from.
    """
    draft = common.draft()
    config = sound(draft)
    app = target or config.get("worker.app")
    system = None if app is None else load(app)
    rows = [*_settings(config, system)]
    if system is not None:
        declared = declared_by(system)
        nodes = settle(draft, declared).tree.root.walk()
        specs = {node.name: node.supervisor for node in nodes if node.supervisor is not None}
        rows += [*_supervisors(config, specs, declared), *_actors(config, declared)]
    else:
        rows += _supervisors(config, config.supervisors({}), Declared())
        rows += [*_given(config, "defaults"), *_given(config, "actors")]
    rows += _given(config, "schedules")
    if common.as_json:
        document([{"path": row.path, "value": row.plain, "origin": row.origin} for row in rows])
    else:
        data(columns([(row.path, row.text, *((row.origin,) if origin else ())) for row in rows]))
    return OK


def _settings(config: Config, system: ActorSystem | None) -> Iterator[Row]:
    """What is set once for all. Where nothing else does, the code says it, or the environment."""
    declared = _code(system) if system is not None else {}
    around = nats_environment()
    for path, key in KEYS.walk():
        name = ".".join(path)
        if path[0] not in ("namespace", "nats", "streams", "worker"):
            continue
        if path in config.values:
            yield Row(name, key, config.get(name), config.origin(name))
        elif name in declared:
            yield Row(name, key, declared[name], CODE)
        elif name in around:
            yield Row(name, key, around[name][1], around[name][0])
        else:
            yield Row(name, key, key.default, DEFAULT)


def _code(system: ActorSystem) -> dict[str, Any]:
    """What a system's code says otherwise than the defaults, by path."""
    found: dict[str, Any] = {f"nats.{key}": value for key, value in system.connection.items()}
    if system.transport is not None:
        found["nats.servers"] = tuple(system.transport.split(","))
    usual = StreamSettings()
    of_streams = {name: getattr(system.streams, name) for name in StreamSettings.__dataclass_fields__}
    found |= {f"streams.{name}": value for name, value in of_streams.items() if value != getattr(usual, name)}
    send_timeout = KEYS.find(("nats", "send_timeout"))
    if isinstance(send_timeout, Key) and system.send_timeout != send_timeout.default:
        found["nats.send_timeout"] = system.send_timeout
    return found | {"namespace": system.namespace.prefix.removeprefix("aq-")}


def _supervisors(config: Config, specs: Mapping[str, SupervisorSpec], declared: Declared) -> Iterator[Row]:
    for name, spec in specs.items():
        table = "supervisor" if name == ROOT else "supervisors"
        own = "supervisor" if name == ROOT else f"supervisors.{name}"
        for path, key in _table(table).walk():
            option = ".".join(path)
            yield Row(
                f"{own}.{option}", key, _at(spec, path), config.supervisor_origin(name, option, declared.supervisors)
            )


def _actors(config: Config, declared: Declared) -> Iterator[Row]:
    for name, policy in config.policies(declared).items():
        for path, key in _table("actors").walk():
            if key.reload != "unused":
                option = ".".join(path)
                value = _at(policy, path)
                yield Row(f"actors.{name}.{option}", key, value, config.policy_origin(name, option, declared))


def _given(config: Config, table: str) -> list[Row]:
    """What stands in a table, where nobody knows what it is laid over."""
    rows: list[Row] = []
    for path, value in config.values.items():
        key = KEYS.find(path)
        if path[0] == table and isinstance(key, Key):
            rows.append(Row(dotted(path), key, value.value, str(value.place)))
    return rows


def _table(name: str) -> Table:
    table = KEYS.entries[name]
    assert isinstance(table, Table)
    return table.each or table


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = getattr(value, name)
    return value


def schema(*, common: Common = DEFAULTS) -> int:
    """Print the JSON Schema of the configuration, for editors."""
    del common  # the answer is a document in any case
    data(json.dumps(schema_of_keys(), indent=2))
    return OK
