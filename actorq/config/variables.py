"""Environment variables: those in a file's strings, and those that stand in for keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from actorq.config.kinds import is_list, is_table

PREFIX, BETWEEN = "ACTORQ_", "__"
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")


def filled(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """A string with ``${NAME}`` and ``${NAME:-default}`` replaced and ``$$`` made a dollar sign; what is wrong with it.

    As in a shell, the default also stands for a variable that is empty.
    """
    problems: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        if match[0] == "$$":
            return "$"
        if name is None:
            problems.append('"${" begins no variable; write ${NAME} or ${NAME:-default}, and $$ for a dollar sign')
        elif default is not None:
            return environ.get(name) or str(default)
        elif name not in environ:
            problems.append(f"there is no variable {name} in the environment; set it, or write ${{{name}:-default}}")
        return environ.get(name or "", "")

    return _VARIABLE.sub(replace, text), problems


def deeply_filled(value: Any, environ: Mapping[str, str]) -> tuple[Any, list[str]]:
    """The same for all strings in lists and tables."""
    problems: list[str] = []

    def deep(part: Any) -> Any:
        if isinstance(part, str):
            part, wrong = filled(part, environ)
            problems.extend(wrong)
        if is_list(part):
            return [deep(each) for each in part]
        return {name: deep(each) for name, each in part.items()} if is_table(part) else part

    return deep(value), problems


def has_variable(value: Any) -> bool:
    """Whether a value is a string that the environment has part in."""
    return isinstance(value, str) and _VARIABLE.search(value) is not None


def overrides(environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The variables that stand in for keys, each with its path: ``ACTORQ_WORKER__QUEUES`` is ``worker.queues``."""
    return {
        name: tuple(name.removeprefix(PREFIX).lower().split(BETWEEN))
        for name in environ
        if name.startswith(PREFIX) and BETWEEN in name.removeprefix(PREFIX)
    }


def as_variable(name: str) -> str:
    """How the name of an actor or a supervisor stands in a variable, in lower case."""
    return name.lower().replace("-", "_")
