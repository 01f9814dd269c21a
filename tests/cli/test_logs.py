"""Log lines: for the eye, or one JSON object each, with the task that speaks."""

from __future__ import annotations

import json
import logging
import sys
from types import SimpleNamespace
from typing import Any, cast

from actorq.cli.logs import ConsoleFormatter, JsonFormatter, add_task
from actorq.client import RUNNING, Running
from actorq.model.envelope import Envelope


def record(message: str = "half of %s", *args: object, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("shop", logging.WARNING, __file__, 1, message, args or ("it",), None)
    made.__dict__.update(fields)
    return made


def test_json_has_one_object_a_line_with_the_task() -> None:
    entry = json.loads(JsonFormatter().format(record(task_id="T1", actor="add", attempt=2)))
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "warning", "logger": "shop", "message": "half of it", "task_id": "T1", "actor": "add", "attempt": 2,
    }  # fmt: skip


def test_json_keeps_a_traceback_inside_the_object() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        made = record(exc_info=sys.exc_info())
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert json.loads(line)["error"].endswith("ValueError: no")


def test_the_console_names_the_task_and_colours_only_when_asked() -> None:
    made = record(task_id="T1", actor="add", attempt=2)
    assert ConsoleFormatter(colour=False).format(made).endswith("WARNING shop: half of it [add T1, attempt 2]")
    said = record("task T1 of add: attempt %s of 4 failed", 2, task_id="T1", actor="add", attempt=2)
    assert ConsoleFormatter(colour=False).format(said).endswith("attempt 2 of 4 failed")
    long = record("half of %s\nTraceback", "it", task_id="T1", actor="add", attempt=2)
    assert ConsoleFormatter(colour=False).format(long).endswith("half of it [add T1, attempt 2]\nTraceback")
    assert ConsoleFormatter(colour=True).format(record()).startswith("\x1b[33m")


def test_any_logger_used_in_a_handler_is_told_which_task_it_is() -> None:
    running = SimpleNamespace(envelope=Envelope(id="T9", to="Geo.locate", attempt=3))
    token = RUNNING.set(cast(Running, running))
    try:
        made = record()
        assert add_task(made)
    finally:
        RUNNING.reset(token)
    assert (vars(made)["task_id"], vars(made)["actor"], vars(made)["attempt"]) == ("T9", "Geo.locate", 3)
    outside = record()
    assert add_task(outside)
    assert "task_id" not in vars(outside)
