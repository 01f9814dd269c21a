"""Finds and reads the files of a configuration, those that they include, too."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from actorq.config.keys import KEYS, Table
from actorq.config.kinds import is_list, is_table
from actorq.config.positions import line_of, positions
from actorq.config.problems import Path, Place, Problem, dotted
from actorq.config.variables import filled

FILE, PROJECT = "actorq.toml", "pyproject.toml"
_MARK = "\ufeff"  # with which some editors begin a file
_TWICE = re.compile(r"Cannot declare \((.*?),?\) twice")
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written. ``elements``: where those of a list stand; ``is_table``: it is a table, value None."""

    value: Any
    place: Place
    elements: tuple[Place, ...] = ()
    is_table: bool = False


@dataclass(slots=True)
class Collected:
    """What the files say: values by path, tables before what is in them; the files as users know them.

    ``complete``: all of them could be read.
    """

    given: dict[Path, Given] = field(default_factory=dict[Path, Given])
    files: list[str] = field(default_factory=list[str])
    problems: list[Problem] = field(default_factory=list[Problem])

    @property
    def complete(self) -> bool:
        return not self.problems


def collect(named: str | None, environ: Mapping[str, str], folder: FilePath) -> Collected:
    """Read ``named``, else ACTORQ_CONFIG, else actorq.toml or the table [tool.actorq] of pyproject.toml in ``folder``.

    Without any of them there is nothing, and that is no problem.
    """
    reading = _Reading(environ, folder)
    named = named or environ.get("ACTORQ_CONFIG")
    if named:
        reading.file(named, Place(named))
    elif (folder / FILE).exists():
        reading.file(FILE, Place(FILE))
    elif _has_own_table(folder / PROJECT):
        reading.file(PROJECT, Place(PROJECT))
    return reading.result


def _has_own_table(file: FilePath) -> bool:
    """Asked of the text: whether the rest of another tool's file is well formed is not our business."""
    try:
        return re.search(rb"^\s*\[tool\.actorq\b", file.read_bytes(), re.MULTILINE) is not None
    except OSError:
        return False


def _real(file: FilePath) -> FilePath:
    """Where a path leads to. Unlike ``resolve`` it leaves links that lead in a circle to whoever reads the file."""
    return FilePath(os.path.realpath(file))


class _Reading:
    """One pass over a file and what it includes. ``chain``: the files that are being read, from the first one."""

    def __init__(self, environ: Mapping[str, str], folder: FilePath) -> None:
        self.environ = environ
        self.folder = folder
        self.result = Collected()
        self.chain: list[FilePath] = []

    def file(self, shown: str, asked: Place, path: str = "") -> None:
        """Read one file over what is there. ``asked``: what a problem with the file as a whole is told of."""
        file = self.folder / shown
        shown = str(FilePath(shown))
        if _real(file) in self.chain:
            ring = " > ".join([*(each.name for each in self.chain), file.name])
            self.wrong(f'"{shown}" includes itself ({ring}); take it out', asked, path)
            return
        text = self.text(file, shown, asked, path)
        data = None if text is None else self.parsed(text, shown)
        if text is None or data is None:
            return
        flat = _Flat(shown, positions(text))
        if file.name == PROJECT and not (data := flat.below(data, "tool", "actorq")):
            self.wrong("it has no table [tool.actorq]; add one, or name another file", Place(shown))
        flat.table(data, (), KEYS)
        self.result.files.append(shown)
        self.chain.append(_real(file))
        self.included(flat.given.get(("include",)), shown)
        self.chain.pop()
        if ("schedules",) in flat.given:
            for key in [key for key in self.result.given if key[0] == "schedules"]:
                del self.result.given[key]
        self.result.given.update(flat.given)

    def included(self, include: Given | None, shown: str) -> None:
        """Read what a file includes, before its own values are laid over it."""
        if include is None:
            return
        names: list[Any] = include.value if is_list(include.value) else [include.value]
        for index, written in enumerate(names):
            place = include.elements[index] if include.elements else include.place
            name, problems = filled(written, self.environ) if isinstance(written, str) else ("", [])
            if problems or not name:
                continue  # its kind says what is wrong with it
            for found in self.matching(FilePath(shown).parent / name):
                self.file(found, place, dotted(("include", index)))

    def matching(self, near: FilePath) -> list[str]:
        """The files that the name of an included one means: itself, or all that it matches but the including one."""
        if not any(mark in near.name for mark in "*?["):
            return [str(near)]
        folder = self.folder / near.parent
        found = [near.parent / file.name for file in folder.glob(near.name)]
        return sorted(str(file) for file in found if _real(self.folder / file) != self.chain[-1])

    def text(self, file: FilePath, shown: str, asked: Place, path: str) -> str | None:
        whose = f'"{shown}" ' if path else "it "
        try:
            return file.read_bytes().decode().removeprefix(_MARK)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            byte = error.object[error.start]
            self.wrong(f"it is not UTF-8 (byte 0x{byte:02x}); save it as UTF-8", Place(shown, line))
        except FileNotFoundError:
            self.wrong(f"{whose}does not exist; check the name", asked, path)
        except IsADirectoryError:
            self.wrong(f"{whose}is a folder; name a file", asked, path)
        except OSError as error:
            hint = "check its permissions" if isinstance(error, PermissionError) else "name another file"
            self.wrong(f"{whose}cannot be read: {error.strerror}; {hint}", asked, path)
        return None

    def parsed(self, text: str, shown: str) -> dict[str, Any] | None:
        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            said = str(error)
            at = _POSITION.search(said)
            line = int(at[1]) if at and at[1] else text.count("\n") + 1 if at else 1
            where = f" in column {at[2]}" if at and at[2] else " at its end" if at else ""
            cause = said[: at.start()] if at else said
            if twice := _TWICE.fullmatch(cause):
                name = twice[1].replace("'", "").replace(", ", ".")
                where, cause = "", f"[{name}] stands here a second time; keep one of them"
            self.wrong(f"it is not TOML{where}: {cause[:1].lower()}{cause[1:]}", Place(shown, line))
            return None

    def wrong(self, text: str, place: Place, path: str = "") -> None:
        self.result.problems.append(Problem(text, place, path))


class _Flat:
    """A file's values by path, each with its place. What is in an unknown table is left there."""

    def __init__(self, shown: str, lines: Mapping[Path, int]) -> None:
        self.shown = shown
        self.lines = lines
        self.given: dict[Path, Given] = {}

    def below(self, data: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """The table at ``names``, which from now on is the whole; empty if there is none."""
        self.lines = {path[len(names) :]: line for path, line in self.lines.items() if path[: len(names)] == names}
        found: Any = data
        for name in names:
            found = found.get(name) if is_table(found) else None
        return found if is_table(found) else {}

    def table(self, data: Mapping[Any, Any], path: Path, known: Table) -> None:
        for name, value in data.items():
            here, entry = (*path, name), known.entry(name)
            if not isinstance(entry, Table):
                self.given[here] = self.at(here, value)
            elif is_list(value) and entry.array:
                self.given[here] = self.at(here, None, is_table=True)
                self.table(dict(enumerate(value)), here, entry)
            elif is_table(value) and not entry.array:
                self.given[here] = self.at(here, None, is_table=True)
                self.table(value, here, entry)
            else:
                self.given[here] = self.at(here, value)

    def at(self, path: Path, value: Any, *, is_table: bool = False) -> Given:
        place = Place(self.shown, line_of(self.lines, path))
        count = len(value) if is_list(value) else 0
        elements = tuple(Place(self.shown, line_of(self.lines, (*path, index))) for index in range(count))
        return Given(value, place, elements, is_table)
