"""Reads a configuration: what is right becomes a Config, what is wrong a list of problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from actorq.config import kinds
from actorq.config.config import Config, Value
from actorq.config.files import Given, collect
from actorq.config.keys import KEYS, Key, Table
from actorq.config.kinds import Unfit, is_list
from actorq.config.problems import Path, Place, Problem, dotted
from actorq.config.variables import BETWEEN, deeply_filled, has_variable, overrides
from actorq.config.words import hint_for, hint_for_path
from actorq.model.supervision import ROOT


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration as far as it can be judged without the program that it is for.

    ``config`` holds what is right also where there are ``problems``. ``complete``: all files could be read.
    """

    config: Config
    problems: tuple[Problem, ...] = ()
    complete: bool = True


def read(
    named: str | None,
    environ: Mapping[str, str],
    *,
    folder: FilePath = FilePath(),
    flags: Mapping[str, tuple[str, Any]] | None = None,
) -> Draft:
    """Read the file ``named``, or the one to be found in ``folder``, with what it includes and the environment.

    ``flags``: values from the command line by path, ``{"worker.backend": ("--backend", "trio")}``, over all others.
    Raises nothing: what is wrong is in the draft.
    """
    found = collect(named, environ, folder)
    check = _Check(environ, [*found.problems])
    for path, given in found.given.items():
        check.entry(path, given)
    check.schedules()
    for variable, path in overrides(environ).items():
        check.variable(variable, path)
    config = Config(check.values, check.tables, tuple(found.files)).with_flags(flags or {})
    return Draft(config, tuple(check.problems), found.complete)


class _Check:
    """Takes what was given key by key."""

    def __init__(self, environ: Mapping[str, str], problems: list[Problem]) -> None:
        self.environ = environ
        self.problems = problems
        self.values: dict[Path, Value] = {}
        self.tables: dict[Path, Place] = {}

    def wrong(self, text: str, place: Place, path: Path) -> None:
        self.problems.append(Problem(text, place, dotted(path)))

    def entry(self, path: Path, given: Given) -> None:
        entry = KEYS.find(path)
        if isinstance(entry, Key):
            self.value(path, entry, given)
        elif entry is None:
            self.unknown(path, given)
        elif not given.is_table:
            is_array = entry.array or isinstance(path[-1], int)
            write = f"[[{path[0]}]]" if is_array else f"[{dotted(path)}]"
            self.wrong(f"it has to be a table; write {write}", given.place, path)
        else:
            self.tables[path] = given.place
            self.name(path, given.place)

    def name(self, path: Path, place: Place) -> None:
        """Whether an actor or a supervisor can be called so."""
        if len(path) != 2 or path[0] not in ("actors", "supervisors"):
            return
        try:
            kinds.NAME.read(path[1])
        except Unfit as error:
            self.wrong(str(error), place, path)
        if path == ("supervisors", ROOT):
            self.wrong('"root" is the name of the supervisor in [supervisor]; take another one', place, path)

    def unknown(self, path: Path, given: Given) -> None:
        table = KEYS.find(path[:-1])
        assert isinstance(table, Table)
        tip = hint_for(str(path[-1]), table)
        if path[0] == "supervisor" and isinstance(given.value, dict):
            tip = f'did you mean "supervisors.{path[-1]}"?'
        self.wrong(f"unknown key; {tip}", given.place, path)

    def value(self, path: Path, key: Key, given: Given) -> None:
        value = self.filled(path, given)
        if value is not None:
            self.take(path, key, value, given)

    def filled(self, path: Path, given: Given) -> Any:
        """The value with what the environment has part in; None if that is not there."""
        filled: list[Any] = []
        before = len(self.problems)
        for index, part in enumerate(given.value if is_list(given.value) else [given.value]):
            value, problems = deeply_filled(part, self.environ)
            filled.append(value)
            for text in problems:
                self.element(text, path, index, given)
        if len(self.problems) > before:
            return None
        return filled if is_list(given.value) else filled[0]

    def take(self, path: Path, key: Key, value: Any, given: Given) -> None:
        try:
            read = key.kind.read(key.kind.parse(value) if has_variable(given.value) else value)
            self.values[path] = Value(read, given.place, given.elements)
        except Unfit as error:
            for index, text in error.elements.items():
                self.element(text, path, index, given)
            if not error.elements:
                self.wrong("it is not text" if key.secret else str(error), given.place, path)

    def element(self, text: str, path: Path, index: int, given: Given) -> None:
        """A problem of one element of a list, or of the one value that is there."""
        if given.elements:
            self.wrong(text, given.elements[index], (*path, index))
        else:
            self.wrong(text, given.place, path)

    def variable(self, variable: str, path: tuple[str, ...]) -> None:
        key, place = KEYS.find(path), Place(f"env {variable}")
        if key is None:
            self.wrong(f'unknown key "{dotted(path)}"; {hint_for_path(path)}', place, path)
        elif isinstance(key, Table):
            self.wrong(f'"{dotted(path)}" is a table; append {BETWEEN} and one of its keys', place, path)
        else:
            self.name(path[:2], place)
            self.take(path, key, key.kind.parse(self.environ[variable]), Given(None, place))

    def schedules(self) -> None:
        """What each schedule has to have, besides keys that are right by themselves."""
        seen: dict[str, Place] = {}
        for path, place in self.tables.items():
            if path[0] != "schedules" or len(path) != 2:
                continue
            # Those with a value that is wrong have been told of it.
            told = {problem.path for problem in self.problems}
            has = {key for key in ("name", "actor", "cron", "every") if (*path, key) in self.values}
            has |= {key for key in ("name", "actor", "cron", "every") if dotted((*path, key)) in told}
            for key in ("name", "actor"):
                if key not in has:
                    self.wrong(f'it has no {key}; write {key} = "..."', place, path)
            if len(has & {"cron", "every"}) != 1:
                self.wrong('it needs one of cron and every; write cron = "30 2 * * *" or every = "30s"', place, path)
            self.own_name(path, seen)

    def own_name(self, path: Path, seen: dict[str, Place]) -> None:
        value = self.values.get((*path, "name"))
        if value is None:
            return
        if value.value in seen:
            text = f'"{value.value}" is the name of another schedule (line {seen[value.value].line}); take another one'
            self.wrong(text, value.place, (*path, "name"))
        seen.setdefault(value.value, value.place)
