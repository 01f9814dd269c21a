"""The schema, the reference and the table of keys say the same as the code."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorq import WorkerOptions
from actorq.config import read
from actorq.config.keys import KEYS, Key, Table
from actorq.config.kinds import Unfit, is_list, is_table
from actorq.config.page import page
from actorq.config.schema import schema
from actorq.model.message import ConnectionSettings, StreamSettings
from actorq.model.policy import LATER, Policy
from actorq.model.retry import Retry
from actorq.model.supervision import Backoff, SupervisorSpec
from tests.config.shop import BAD, GOOD
from tests.docs.pages import ROOT, blocks

SCHEMA = json.loads(json.dumps(schema()))
PAGES = [ROOT / "docs/reference/config.md", ROOT / "docs/how-to/configure.md"]


def fits(value: Any, rule: dict[str, Any]) -> bool:
    """As much of JSON Schema as the document uses."""
    if "$ref" in rule:
        return fits(value, SCHEMA["$defs"][rule["$ref"].removeprefix("#/$defs/")])
    kinds: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": int | float,
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    number = isinstance(value, int | float) and not isinstance(value, bool)
    checks: dict[str, Callable[[Any], bool]] = {
        "type": lambda kind: isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool)),
        "enum": lambda choices: value in choices,
        "const": lambda only: value == only and type(value) is type(only),
        "pattern": lambda pattern: isinstance(value, str) and re.search(pattern, value) is not None,
        "minLength": lambda least: isinstance(value, str) and len(value) >= least,
        "minimum": lambda least: number and value >= least,
        "maximum": lambda most: number and value <= most,
        "anyOf": lambda rules: any(fits(value, each) for each in rules),
        "oneOf": lambda rules: sum(fits(value, each) for each in rules) == 1,
        "items": lambda each: is_list(value) and all(fits(item, each) for item in value),
        "required": lambda names: is_table(value) and all(name in value for name in names),
        "propertyNames": lambda each: is_table(value) and all(fits(name, each) for name in value),
        "properties": lambda named: is_table(value) and all(
            fits(value[key], named[key]) for key in value.keys() & named.keys()
        ),
        "additionalProperties": lambda other: is_table(value) and all(
            other is not False and fits(value[key], other) for key in value.keys() - rule["properties"]
        ),
    }  # fmt: skip
    said = {"description", "default", "title", "$schema", "$defs"}
    return all(checks[name](argument) for name, argument in rule.items() if name not in said)


def test_the_example_and_all_that_is_documented_fits_the_schema() -> None:
    assert fits(tomllib.loads(GOOD), SCHEMA)
    documented = [tomllib.loads(block.text) for page in PAGES for block in blocks(page, "toml")]
    assert len(documented) > 2
    assert all(fits(data, SCHEMA) for data in documented)


def test_what_is_wrong_does_not_fit_it() -> None:
    data = tomllib.loads(BAD)
    assert not fits(data, SCHEMA)
    for table, key in (("supervisors", "billing"), ("actors", "charge")):
        assert not fits({table: {key: data[table][key]}}, SCHEMA)
    assert not fits({"colour": 1}, SCHEMA)
    assert not fits({"schedules": [{"name": "a", "actor": "b"}]}, SCHEMA)


VALUES: list[Any] = [
    -1, 0, 1, 3, 0.5, 7.5, True, False, "", "x", "a b", "30s", "1h30m", "250ms", " 5m ", "1m1h", "45", "d", "512KiB",
    "1.5 MB", "1KiBB", "5/s", "5/10s", "5/", "none", "one_for_all", "trio", "thread", "transient", "shop:system",
    "default", "raise", "all", "create", "info", "${X}", [], ["*"], ["a", "b"], {},
]  # fmt: skip


@pytest.mark.parametrize("path", [path for path, _ in KEYS.walk()], ids=".".join)
def test_the_schema_takes_what_the_reader_takes(path: tuple[str, ...], tmp_path: Path) -> None:
    key = KEYS.find(path)
    rule = SCHEMA
    for name in path:
        rule = rule["properties"][name]
    assert isinstance(key, Key)
    for value in VALUES:
        if value == "${X}":
            assert fits(value, rule) or path[1:2] == ("app",) or path[1] in LATER, "a variable may stand anywhere"
            continue
        try:
            key.kind.read(value)
        except Unfit:
            # What only the reader knows: the form of names in lists and of targets, blanks, and the shortest of times.
            known = ("queues", "exclude_queues", "app", "result_ttl", "dead_ttl", "ack_wait", "no_retry", "restart_on")
            assert not fits(value, rule) or path[-1] in (*known, "duplicate_window") or value == "", (path, value)
        else:
            assert fits(value, rule), (path, value)


def test_every_table_is_closed_and_every_reference_leads_somewhere() -> None:
    text = json.dumps(SCHEMA)
    assert set(re.findall(r'"#/\$defs/(\w+)"', text)) == set(SCHEMA["$defs"])

    def closed(rule: Any) -> bool:
        if is_list(rule):
            return all(closed(each) for each in rule)
        if not is_table(rule):
            return True
        return ("properties" not in rule or "additionalProperties" in rule) and all(map(closed, rule.values()))

    assert closed(SCHEMA)
    assert SCHEMA["additionalProperties"] is False


def names(path: str) -> set[str]:
    table = KEYS.find(tuple(path.split(".")))
    assert isinstance(table, Table)
    return set(table.entries)


def fields(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_every_option_of_the_code_is_a_key() -> None:
    assert names("defaults") == names("actors.x") == fields(Policy) | set(LATER)
    assert names("defaults.retry") == fields(Retry)
    assert names("supervisors.x") == fields(SupervisorSpec) - {"name"}
    assert names("supervisor") == fields(SupervisorSpec) - {"name", "restart", "significant", "stop_timeout"}
    assert names("supervisor.backoff") == fields(Backoff)
    assert names("streams") == fields(StreamSettings)
    own = {"url", "prefix", "name", "streams"}
    assert names("nats") == (fields(ConnectionSettings) - own) | {"servers", "send_timeout"}
    called = {"exclude_queues": "exclude", "ack_wait": "lease"}
    of_workers = {called.get(name, name) for name in names("worker")}
    assert fields(WorkerOptions) - {"burst"} <= of_workers


def test_defaults_are_those_of_the_code() -> None:
    options, called = WorkerOptions(), {"exclude_queues": "exclude", "ack_wait": "lease"}
    for path, key in KEYS.walk("x"):
        name = called.get(path[-1], path[-1])
        if path[1] == "worker" and hasattr(options, name) and key.default is not None:
            assert getattr(options, name) == key.default, path


def test_every_default_is_a_value_that_may_be_written() -> None:
    for path, key in KEYS.walk():
        written: Any = json.loads(json.dumps(key.default)) if key.default else key.default
        if isinstance(written, float):
            written = key.kind.spell(written) if "duration" in key.kind.name else written
        if written not in (None, ()):
            assert key.kind.read(written) == key.default, path


def test_every_key_is_explained() -> None:
    unexplained = [path for path, key in KEYS.walk() if not key.doc and path[-1] not in LATER]
    assert unexplained == []


def test_the_reference_is_what_the_table_gives() -> None:
    """If not: python -c "from actorq.config.page import page; print(page(), end='')" > docs/reference/config.md"""
    assert (ROOT / "docs/reference/config.md").read_text() == page()


@pytest.mark.parametrize("name", [path.name for path in PAGES])
def test_what_the_pages_show_is_right(name: str, tmp_path: Path) -> None:
    (source,) = [path for path in PAGES if path.name == name]
    (tmp_path / "shared.toml").touch()
    for block in blocks(source, "toml"):
        (tmp_path / "actorq.toml").write_text(block.text)
        draft = read(None, {"SHOP_NATS_PASSWORD": "x"}, folder=tmp_path)
        assert [str(problem) for problem in draft.problems] == []
