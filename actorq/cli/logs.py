"""Log lines on stderr: for the eye, or one JSON object each."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from actorq.cli.output import colourful, plain
from actorq.client import RUNNING
from actorq.errors import BrokerUnavailable

Level = Literal["debug", "info", "warning", "error", "critical"]
Format = Literal["console", "json"]

TASK_FIELDS = ("task_id", "actor", "attempt")
_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def set_up(level: Level, form: Format | Literal["plain"], *, force: bool = True, worker: str = "") -> None:
    """Send all log records of this process to stderr; ``plain`` is for commands that say a line or two.

    Without ``force`` a program that has set up its logging keeps it. ``worker``: whose lines they are, where several
    processes write to one place.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(add_task)
    handler.addFilter(not_said_again)
    handler.setFormatter(_formatter(form, worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=force)
    logging.getLogger("asyncio").setLevel(logging.INFO)  # below that it speaks of its selectors


def _formatter(form: str, worker: str) -> logging.Formatter:
    match form:
        case "plain":
            return logging.Formatter("actorq: %(message)s")
        case "json":
            return JsonFormatter(worker)
        case _:
            return ConsoleFormatter(worker, colour=colourful(sys.stderr))


def not_said_again(record: logging.LogRecord) -> bool:
    """Leave out that a broker cannot be reached yet: it is there soon, or its absence ends the command in one line."""
    if record.name != "actorq.nats" or record.msg != "%s; trying again" or not isinstance(record.args, tuple):
        return True
    return not isinstance(record.args[0], BrokerUnavailable)


def add_task(record: logging.LogRecord) -> bool:
    """Name the task whose handler is speaking, through whichever logger."""
    running = RUNNING.get()
    if running is not None and not hasattr(record, "task_id"):
        record.task_id, record.actor = running.envelope.id, running.envelope.to
        record.attempt = running.envelope.attempt
    return True


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message; worker, task_id, actor, attempt and error where there is one."""

    def __init__(self, worker: str = "") -> None:
        super().__init__()
        self._worker = {"worker": worker} if worker else {}

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._worker,
        }
        entry |= {name: getattr(record, name) for name in TASK_FIELDS if hasattr(record, name)}
        entry |= getattr(record, "details", {})
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=plain, ensure_ascii=False)


class ConsoleFormatter(logging.Formatter):
    """``12:00:01.234 WARNING actorq.worker: message [actor id, attempt 2]``."""

    default_time_format: str = "%H:%M:%S"
    default_msec_format: str | None = "%s.%03d"

    def __init__(self, worker: str = "", *, colour: bool) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {worker and f'{worker} '}%(name)s: %(message)s")
        self._colour = colour

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name in the standard library
        first, *more = super().formatMessage(record).split("\n")
        fields = {name: getattr(record, name, "?") for name in TASK_FIELDS}
        # What we say of a task ourselves begins with it.
        if hasattr(record, "task_id") and not record.getMessage().startswith(f"task {fields['task_id']} "):
            first += f" [{fields['actor']} {fields['task_id']}, attempt {fields['attempt']}]"
        line = "\n".join([first, *more])
        colour = _COLOURS.get(record.levelname) if self._colour else None
        return line if colour is None else f"\x1b[{colour}m{line}\x1b[0m"
