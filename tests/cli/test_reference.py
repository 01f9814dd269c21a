"""The reference of the command line names what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cyclopts import App

from actorq.cli import exits
from actorq.cli.main import app
from actorq.cli.settings import ENVIRONMENT

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text()
SHARED = "Connection and output"


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands() -> dict[str, App]:
    found: dict[str, App] = {}
    for name in subcommands(app):
        group = {f"{name} {each}": app[name][each] for each in subcommands(app[name])}
        found |= group or {name: app[name]}
    return found


def subcommands(group: App) -> list[str]:
    return [name for name in group if not name.startswith("-")]


def flags(command: App) -> set[str]:
    """Without the negative forms that the parser adds."""
    names = {name for argument in command.assemble_argument_collection() for name in argument.names}
    return {name for name in names if name.startswith("-") and not name.startswith(("--no-", "--empty-"))}


def test_every_command_is_there() -> None:
    assert set(re.findall(r"^## actorq (.*)$", PAGE, re.MULTILINE)) == set(commands())


@pytest.mark.parametrize("name", commands())
def test_every_flag_is_in_its_section(name: str) -> None:
    text = section(f"actorq {name}") + section(SHARED)
    assert sorted(flag for flag in flags(commands()[name]) if not re.search(rf"`{flag}[ `]", text)) == []


def test_no_flag_is_made_up() -> None:
    known = {flag for command in commands().values() for flag in flags(command)}
    assert set(re.findall(r"`(--?[a-zA-Z][\w-]*)", PAGE)) <= known | {"--help", "--version"}


def test_every_variable_and_every_exit_code_is_there() -> None:
    assert [variable for variable in ENVIRONMENT.values() if f"`{variable}`" not in section(SHARED)] == []
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section("Failures"), re.MULTILINE)} == codes
