"""The source of the package and of its drivers, parsed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("actorq", "transports/actorq_memory", "transports/actorq_nats")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file. ``path`` is relative to the repository."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def module(self) -> str:
        dotted = self.path.removeprefix("transports/").removesuffix(".py").removesuffix("/__init__")
        return dotted.replace("/", ".")

    def within(self, *folders: str) -> bool:
        return self.path.startswith(tuple(f"{folder}/" for folder in folders))

    def at(self, node: ast.expr | ast.stmt | ast.excepthandler) -> str:
        return f"{self.path}:{node.lineno}"

    def comment_above(self, line: int) -> str:
        """The block of comments that ends just above a line (counted from 1)."""
        block: list[str] = []
        for text in reversed(self.lines[: line - 1]):
            if not text.lstrip().startswith("#"):
                break
            block.append(re.sub(r"^\s*#\s?", "", text))
        return "\n".join(reversed(block))

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Every call with the last part of what it calls."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                match node.func:
                    case ast.Name(name) | ast.Attribute(attr=name):
                        yield name, node
                    case _:
                        pass


@lru_cache
def sources() -> tuple[Source, ...]:
    """All files of the package and its drivers."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return tuple(Source(file.relative_to(ROOT).as_posix(), file.read_text()) for file in files)


@lru_cache
def names_of_tests() -> frozenset[str]:
    """The names of all test functions."""
    files = (ROOT / "tests").rglob("test_*.py")
    return frozenset(name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text()))
