"""What the commands print: data on stdout, talk on stderr."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import IO, Any, cast

Forms = Mapping[str, Callable[[Any], str]]
NO_FORMS: Forms = MappingProxyType({})


def data(text: str) -> None:
    """A line of what was asked for."""
    print(text, flush=True)


def document(value: object) -> None:
    """The one JSON document of a command."""
    print(json.dumps(value, default=plain, ensure_ascii=False), flush=True)


def talk(text: str) -> None:
    """A line for the reader, not for a pipe."""
    print(text, file=sys.stderr, flush=True)


def shown(value: object) -> str:
    """A task's value for the reader: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=plain, ensure_ascii=False)


def plain(value: object) -> object:
    """What JSON has no word for, in its nearest form."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(cast("set[object]", value), key=repr)
    return str(value)


def moment(seconds: float) -> str | None:
    """An ISO time for seconds since the epoch; None for zero, which stands for unknown."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else None


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Left-aligned columns, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join(
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    )


def fields(pairs: Mapping[str, Any]) -> str:
    """One line for each field that is known, names on the left."""
    return columns([(name, shown(value)) for name, value in pairs.items() if value not in (None, "")])


def colourful(stream: IO[str]) -> bool:
    """Whether colour is welcome there."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def masked(url: str) -> str:
    """A transport's URL without user, password or token."""
    return re.sub(r"(^|//|,)[^/@,]+@", r"\1***@", url)


def listing(rows: Sequence[Mapping[str, Any]], empty: str, *, as_json: bool, forms: Forms = NO_FORMS) -> None:
    """What was asked for in rows of the same keys: a table with a header, or one array.

    ``empty`` is said where there are none. ``forms``: how values of a column look in the table.
    """
    if as_json:
        document(list(rows))
    elif rows:
        cells = [[forms.get(name, _cell)(value) for name, value in row.items()] for row in rows]
        data(columns([list(rows[0]), *cells]))
    else:
        talk(empty)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, cast("Sequence[object]", value))) or "-"
    return " ".join(shown(value).split())


def span(seconds: float | None) -> str:
    """A duration in its two largest units: ``3d4h``, ``2m5s``; ``-`` for None."""
    if seconds is None:
        return "-"
    left, parts = int(max(0.0, seconds)), list[str]()
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
