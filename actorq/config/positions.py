"""On which line of a TOML text each key stands: tomllib says what a text means, but not where.

It is for texts that tomllib has accepted, so it looks for the ends of things and checks nothing. Where it cannot tell,
``line_of`` gives the line of the nearest table or key around.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress

from actorq.config.problems import Path

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)')[ \t]*(\.?)""")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_CLOSED = re.compile(r"[ \t]*\]\]?")
_PLAIN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|' + r"'''.*?'''(?:'{0,2})|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'|[^,\]}#\n]+",
    re.DOTALL,
)


def positions(text: str) -> dict[Path, int]:
    """The line, from 1, of every table, key and element of a list."""
    scan = _Scan(text.replace("\r\n", "\n"))
    with suppress(ValueError, RecursionError):  # what was found up to there is still true
        scan.document()
    return scan.lines


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """The line of ``path``, or of what is around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Lost(ValueError):
    """The text is not what it was taken for."""


class _Scan:
    """``at``: how far it has come. ``counts``: how many elements each array of tables has so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}
        self.breaks = [match.start() for match in re.finditer("\n", text)]

    @property
    def line(self) -> int:
        return bisect_left(self.breaks, self.at) + 1

    def take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _Lost
        self.at = found.end()
        return found

    def passed(self, mark: str) -> bool:
        """Whether ``mark`` stands here; then it is behind."""
        here = self.text.startswith(mark, self.at)
        self.at += len(mark) if here else 0
        return here

    def document(self) -> None:
        table: Path = ()
        self.take(_SPACE)
        while self.at < len(self.text):
            line = self.line
            if self.passed("[["):
                table = self.around(self.key())
                index = self.counts[table] = self.counts.get(table, -1) + 1
                self.lines.setdefault(table, line)
                table = (*table, index)
                self.header(table, line)
            elif self.passed("["):
                table = self.around(self.key())
                self.header(table, line)
            else:
                self.pair(table)
            self.take(_SPACE)

    def header(self, table: Path, line: int) -> None:
        self.take(_CLOSED)
        self.lines[table] = line
        for end in range(1, len(table)):
            self.lines.setdefault(table[:end], line)

    def around(self, key: Path) -> Path:
        """A header's path, where arrays of tables above it are meant by their last element."""
        path: Path = ()
        for part in key[:-1]:
            path = (*path, part)
            path = (*path, self.counts[path]) if path in self.counts else path
        return (*path, key[-1])

    def key(self) -> Path:
        parts: list[str] = []
        while True:
            bare, basic, literal, dot = self.take(_KEY).groups()
            if basic is not None:
                parts.append(next(iter(tomllib.loads(f'"{basic}" = 0'))))
            else:
                parts.append(bare if bare is not None else literal)
            if not dot:
                return tuple(parts)

    def pair(self, table: Path) -> None:
        line, path = self.line, (*table, *self.key())
        for end in range(len(table) + 1, len(path) + 1):
            self.lines.setdefault(path[:end], line)
        self.take(_EQUALS)
        self.value(path)

    def value(self, path: Path) -> None:
        if self.passed("["):
            index = 0
            while not self.ended("]"):
                self.lines[*path, index] = self.line
                self.value((*path, index))
                index += 1
        elif self.passed("{"):
            while not self.ended("}"):
                self.pair(path)
        else:
            self.take(_PLAIN)

    def ended(self, mark: str) -> bool:
        """Past a comma and space; whether a list or an inline table is over."""
        self.take(_SPACE)
        if self.passed(","):
            self.take(_SPACE)
        return self.passed(mark)
