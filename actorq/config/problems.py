"""What is wrong with a configuration, as lines that an editor can jump to: ``file:line: path: problem; hint``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from actorq.errors import ConfigError

Path = tuple[str | int, ...]
"""Where a value stands: ``("supervisors", "billing", "children", 2)``."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was given: a line of a file, or (line 0) another source, as users know it."""

    source: str
    line: int = 0

    @property
    def is_variable(self) -> bool:
        return not self.line and self.source.startswith("env ")

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Problem:
    """``text``: what is wrong, and behind a semicolon what to do. ``path`` is empty where it is about a whole file."""

    text: str
    place: Place | None = None
    path: str = ""

    def __str__(self) -> str:
        # A variable's name says its path already.
        path = "" if self.place is not None and self.place.is_variable else self.path
        return ": ".join(filter(None, (str(self.place or ""), path, self.text)))

    def order(self) -> tuple[bool, str, int]:
        """By file and line; what has no place first, variables last."""
        if self.place is None:
            return False, "", 0
        return self.place.is_variable, self.place.source, self.place.line


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sorted for the reader; those of one line as they were found."""
    return tuple(sorted(problems, key=Problem.order))


def refusal(problems: Iterable[Problem]) -> ConfigError:
    """The error that carries them, a line each."""
    lines = tuple(map(str, in_order(problems)))
    return ConfigError("; ".join(lines), problems=lines)


def dotted(path: Path) -> str:
    """A path as people write it: ``supervisors.billing.children[2]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def quoted(value: Any) -> str:
    """A value as the file has it, short."""
    match value:
        case str():
            return f'"{value}"'
        case bool():
            return str(value).lower()
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return str(value)
