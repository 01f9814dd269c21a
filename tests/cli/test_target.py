"""MODULE:SYSTEM: found, or one line that says what is wrong and where in the user's code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from actorq.cli.exits import Exit
from actorq.cli.target import load


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def refused(target: str) -> tuple[int, str]:
    with pytest.raises(Exit) as caught:
        load(target)
    assert "\n" not in str(caught.value)
    return caught.value.code, str(caught.value)


def test_the_current_folder_is_importable(folder: Path) -> None:
    (folder / "good_one.py").write_text("from actorq import ActorSystem\nclass Box: system = ActorSystem('shop')\n")
    assert load("good_one:Box.system").name == "shop"


@pytest.mark.parametrize("target", ["shop", "shop:", ":system", ""])
def test_another_form_is_a_usage_error(target: str) -> None:
    code, line = refused(target)
    assert code == 2
    assert "MODULE:SYSTEM" in line


@pytest.mark.parametrize("file", ["shop/tasks.py", "./shop/tasks.py", "shop/tasks"])
def test_a_file_is_answered_with_its_module(file: str) -> None:
    assert refused(f"{file}:system") == (
        2,
        f"target '{file}:system' names a file, not a module: write shop.tasks:system",
    )


def test_a_missing_module_is_told_from_a_missing_import_inside_it(folder: Path) -> None:
    code, line = refused("not_there.tasks:system")
    assert code == 78
    assert "there is no module 'not_there'" in line
    (folder / "needs_more.py").write_text("import os\n\nimport not_installed\n")
    code, line = refused("needs_more:system")
    assert code == 78
    assert "ModuleNotFoundError: No module named 'not_installed'" in line
    assert line.endswith(f"({folder / 'needs_more.py'}:3)")


TWICE = """
from actorq import ActorSystem
system = ActorSystem("a")
@system.actor
def f() -> None: ...
system.actor(name="f")(lambda: None)
"""


@pytest.mark.parametrize(
    ("name", "source", "said", "number"),
    [
        ("raises", "def f():\n    raise ValueError('no')\nf()\n", "ValueError: no", 2),
        ("broken", "x = 1\ndef f(:\n", "SyntaxError", 2),
        ("leaves", "import sys\nsys.exit(3)\n", "SystemExit: 3", 2),
        ("twice", TWICE, "UsageError: there are two actors named 'f'", 6),
    ],
)
def test_an_error_in_the_users_module_names_its_line(
    folder: Path, name: str, source: str, said: str, number: int
) -> None:
    (folder / f"{name}_at_import.py").write_text(source)
    code, line = refused(f"{name}_at_import:system")
    assert code == 78
    assert said in line
    assert line.endswith(f"({folder / f'{name}_at_import.py'}:{number})")


def test_what_is_no_system_is_told_with_what_there_is(folder: Path) -> None:
    (folder / "has_two.py").write_text(
        "from actorq import ActorSystem\none, two = ActorSystem('a'), ActorSystem('b')\nx = 3\n"
    )
    assert refused("has_two:three") == (78, refused("has_two:three")[1])
    assert "has_two:three does not exist" in refused("has_two:three")[1]
    assert "it has has_two:one, has_two:two" in refused("has_two:three")[1]
    assert "has_two:x is of type int, not an ActorSystem" in refused("has_two:x")[1]
    (folder / "has_none.py").write_text("")
    assert "no ActorSystem at its top level" in refused("has_none:system")[1]
