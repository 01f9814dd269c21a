"""What has to be a type error is one, in both checkers. (What has to check is checked with the whole tree.)"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEGATIVE = sorted((Path(__file__).parent / "negative").glob("*.py"))


def expected(file: Path, checker: str) -> dict[int, str]:
    """Line number -> code, from the comments."""
    found = (
        (number, re.search(rf"# .*?{checker}: ([\w-]+)", line))
        for number, line in enumerate(file.read_text().splitlines(), 1)
    )
    return {number: match[1] for number, match in found if match}


@pytest.mark.parametrize("file", NEGATIVE, ids=lambda file: file.stem)
def test_mypy(file: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--output", "json", "--no-error-summary", str(file)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    errors = [json.loads(line) for line in output.splitlines()]
    assert {e["line"]: e["code"] for e in errors if e["severity"] == "error"} == expected(file, "M")


@pytest.mark.parametrize("file", NEGATIVE, ids=lambda file: file.stem)
def test_pyright(file: Path, tmp_path: Path) -> None:
    # The project's own settings leave this folder out: checked by them, its errors would fail the tree.
    settings = {
        "typeCheckingMode": "strict",
        "include": [file.name],
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
    }
    (tmp_path / file.name).write_text(file.read_text())
    project = tmp_path / "pyrightconfig.json"
    project.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", str(project), "--pythonpath", sys.executable]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    errors = [d for d in json.loads(output)["generalDiagnostics"] if d["severity"] == "error"]
    found, wanted = {(e["range"]["start"]["line"] + 1, e["rule"]) for e in errors}, expected(file, "P")
    assert {line for line, _ in found} == set(wanted)
    assert set(wanted.items()) <= found  # one wrong call may be more than one error
