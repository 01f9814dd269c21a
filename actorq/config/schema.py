"""The table of keys as a JSON Schema, for editors."""

from __future__ import annotations

from typing import Any

from actorq.config.keys import KEYS, Key, Table
from actorq.config.kinds import VARIABLE, Schema

_PART = r"([0-9]+(\.[0-9]+)?{})?"
_DURATION = "".join(_PART.format(unit) for unit in ("d", "h", "m", "s", "ms"))
_NUMBER = r"[0-9]+(\.[0-9]+)?"
_DEFINED: dict[str, Schema] = {
    "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "duration": {
        "description": 'Seconds, or text such as "250ms", "30s", "5m", "1h30m".',
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": rf"^ *({_NUMBER}|(?=[0-9]){_DURATION}) *$"},
            VARIABLE,
        ],
    },
    "size": {
        "description": 'Bytes, or text such as "512KiB", "10MB".',
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": rf"^ *{_NUMBER}( ?([kKMGT]i?)?B)? *$"},
            VARIABLE,
        ],
    },
    "rate": {
        "description": 'Such as "10/s", "100/m", "5/10s".',
        "anyOf": [{"type": "string", "pattern": rf"^ *{_NUMBER}/[0-9]*(ms|s|m|h|d) *$"}, VARIABLE],
    },
}
_SCHEDULE: Schema = {
    "required": ["name", "actor"],
    "oneOf": [{"required": ["cron"]}, {"required": ["every"]}],
}


def schema() -> dict[str, Any]:
    """The document (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "actorq.toml",
        **_table(KEYS),
        "$defs": _DEFINED,
    }


def _table(table: Table) -> dict[str, Any]:
    described = {"description": table.doc} if table.doc else {}
    content: dict[str, Any] = {
        "type": "object",
        "properties": {name: _entry(entry) for name, entry in table.entries.items()},
        "additionalProperties": _table(table.each) if table.each else False,
    }
    if table.each:
        content["propertyNames"] = {"$ref": "#/$defs/name"}
    if table.array:
        return {**described, "type": "array", "items": {**content, **_SCHEDULE}}
    return {**described, **content}


def _entry(entry: Key | Table) -> dict[str, Any]:
    if isinstance(entry, Table):
        return _table(entry)
    described = {"description": entry.doc} if entry.doc else {}
    default = {} if entry.default is None else {"default": _written(entry)}
    return {**described, **entry.kind.schema, **default}


def _written(key: Key) -> object:
    """The default as a file would have it."""
    return key.kind.spell(key.default) if "$ref" in str(key.kind.schema) else key.default
