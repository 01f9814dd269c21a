"""What the documents name is there, and what is there they name."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import actorq
from actorq import WorkerOptions
from actorq.model.envelope import Envelope
from actorq.model.options import CallOptions
from actorq.model.policy import Policy
from tests.docs.pages import PAGES, ROOT, name_of

REFERENCE = ROOT / "docs/reference"
_CODE = re.compile(r"```.*?```", re.DOTALL)


def prose(page: Path) -> str:
    return _CODE.sub("", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_tests_and_modules_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:tests|actorq|transports|examples|\.ci)/[\w/.-]*)(?:::(\w+))?`", prose(page))
    missing = [path for path, name in named if not _exists(ROOT / path, name)]
    assert missing == []


def _exists(path: Path, name: str) -> bool:
    return path.exists() and (not name or f"def {name}" in path.read_text())


def test_the_map_is_one_that_can_be_read() -> None:
    assert len((ROOT / "docs/architecture.md").read_text().splitlines()) <= 200


def test_the_map_shows_every_part() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    parts = [part for part in (ROOT / "actorq").iterdir() if part.suffix == ".py" or (part / "__init__.py").exists()]
    names = [f"`actorq/{part.name}{'/' if part.is_dir() else ''}`" for part in parts]
    assert [name for name in names if name not in page] == []


def test_every_point_of_the_contract_that_is_cited_is_written_down() -> None:
    points = set(re.findall(r"^\*\*([A-J]-\d+)", (REFERENCE / "semantics.md").read_text(), re.MULTILINE))
    files = [file for folder in ("actorq", "transports", "tests") for file in (ROOT / folder).rglob("*.py")]
    cited = {point: name_of(file) for file in files for point in re.findall(r"\b[A-J]-\d+\b", file.read_text())}
    assert {point: file for point, file in cited.items() if point not in points} == {}


def test_every_key_of_the_envelope_is_in_the_contract() -> None:
    table = (REFERENCE / "semantics.md").read_text()
    assert [name for name in Envelope.__annotations__ if f"`{name}`" not in table] == []


def test_every_option_is_in_the_reference() -> None:
    page = (REFERENCE / "options.md").read_text()
    options = [
        *(field.name for field in dataclasses.fields(Policy)),
        *(field.name for field in dataclasses.fields(WorkerOptions)),
        *CallOptions.__annotations__,
    ]
    assert [name for name in options if f"`{name}`" not in page] == []


def test_every_error_is_in_the_reference() -> None:
    page = (REFERENCE / "errors.md").read_text()
    errors = [name for name in actorq.__all__ if _is_error(getattr(actorq, name))]
    assert [name for name in errors if f"`{name}`" not in page] == []


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)
