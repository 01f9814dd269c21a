"""Envelopes, records and dead letters to bytes and back (semantics C-1, D-1, F-3, B-6).

What equals its default is left out. Unknown keys are kept and sent on. Decoding raises Undecodable, and nothing else.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from actorq.core.values import to_wire
from actorq.core.wire import MAX_CONTAINERS, Undecodable, pack, too_many, unpack, unpack_map
from actorq.errors import ConfigError, PayloadTooLarge
from actorq.model.envelope import VERSION, DeadLetter, Envelope, ErrorInfo, Record
from actorq.model.retry import Retry

__all__ = [
    "Undecodable",
    "decode_dead",
    "decode_envelope",
    "decode_record",
    "encode_dead",
    "encode_envelope",
    "encode_record",
    "headers_of",
    "pack",
    "readable_envelope",
    "to_wire",
    "unpack",
    "unpack_map",
]

Check = Callable[[Any], Any]
_STATES = frozenset({"succeeded", "failed", "cancelled", "expired", "retrying", "replaced"})


# ---- envelope


def encode_envelope(envelope: Envelope) -> bytes:
    """The body of a task's message. Raises PayloadTooLarge if it holds more containers than a receiver decodes."""
    e = envelope
    wire: dict[str, Any] = {**e.extra, "v": VERSION, "id": e.id, "to": e.to}
    if e.args:
        wire["a"] = list(e.args)
    if e.kwargs:
        wire["kw"] = dict(e.kwargs)
    if e.frames:
        wire["k"] = list(e.frames)
    if e.trace is not None:
        wire["tp"] = dict(e.trace)
    if e.meta:
        wire["m"] = dict(e.meta)
    _add_history(e, wire)
    _add_limits(e, wire)
    return _seal(wire, "the message to", e.to)


def _add_history(e: Envelope, wire: dict[str, Any]) -> None:
    if e.root and e.root != e.id:
        wire["root"] = e.root
    if e.parent:
        wire["parent"] = e.parent
    if e.attempt != 1:
        wire["n"] = e.attempt
    if e.generation:
        wire["g"] = e.generation
    if e.repeat:
        wire["re"] = True
    if e.leases_lost:
        wire["ll"] = e.leases_lost


def _add_limits(e: Envelope, wire: dict[str, Any]) -> None:
    if e.expires is not None:
        wire["ex"] = e.expires
    if e.deadline is not None:
        wire["dl"] = e.deadline
    if e.time_limit is not None:
        wire["tl"] = e.time_limit
    if e.retry is not None:
        r = e.retry
        wire["rp"] = [r.max_attempts, r.initial, r.factor, r.max, r.jitter, list(r.no_retry), list(r.restart_on)]
    if e.reply is not None:
        wire["rt"] = e.reply


def decode_envelope(body: bytes) -> Envelope:
    """The envelope in a body. Raises Undecodable."""
    found = _read(body, _ENVELOPE, ("id", "to"), "message")
    if "root" not in found:
        found["root"] = found["id"]
    return Envelope(**found)


def readable_envelope(body: bytes) -> Envelope | None:
    """The same, None where it cannot be read."""
    try:
        return decode_envelope(body)
    except Undecodable:
        return None


def headers_of(envelope: Envelope) -> Mapping[str, str]:
    """The control fields as headers, for tools without a decoder: the version, and what is not as in a first send."""
    e = envelope
    if (e.attempt == 1 and not e.generation and not e.repeat and e.expires is e.deadline is None
            and "." not in e.to and e.root in ("", e.id)):  # fmt: skip
        return _PLAIN_HEADERS
    headers = {_VERSION_HEADER: str(VERSION)}
    values: tuple[tuple[str, object, object], ...] = (
        ("To", e.to, e.actor), ("Root", e.root, e.root if e.root == e.id else ""), ("Attempt", e.attempt, 1),
        ("Generation", e.generation, 0), ("Repeat", int(e.repeat), 0), ("Leases-Lost", e.leases_lost, 0),
        ("Expires", e.expires, None), ("Deadline", e.deadline, None),
    )  # fmt: skip
    return headers | {f"Aq-{name}": str(value) for name, value, default in values if value != default}


_VERSION_HEADER = "Aq-Version"
_PLAIN_HEADERS = MappingProxyType({_VERSION_HEADER: str(VERSION)})


# ---- record and dead letter


def encode_record(record: Record) -> bytes:
    """The body of a result. Raises PayloadTooLarge if it holds more containers than a reader decodes."""
    r = record
    wire: dict[str, Any] = {**r.extra, "v": VERSION, "id": r.id, "state": r.state, "at": r.at}
    if r.generation:
        wire["g"] = r.generation
    if r.value is not None:
        wire["value"] = r.value
    if r.error is not None:
        wire["error"] = _sparse(r.error, _ERROR_DEFAULTS)
    if r.attempts != 1:
        wire["n"] = r.attempts
    if r.worker:
        wire["worker"] = r.worker
    if r.reason:
        wire["reason"] = r.reason
    return _seal(wire, "the result of task", r.id)


def decode_record(body: bytes) -> Record:
    """The record in a body. Raises Undecodable."""
    return Record(**_read(body, _RECORD, ("id", "state"), "record"))


def encode_dead(letter: DeadLetter) -> bytes:
    """The body of a dead letter."""
    return pack({"v": VERSION, **_sparse(letter, _DEAD_DEFAULTS)})


def decode_dead(body: bytes) -> DeadLetter:
    """The dead letter in a body. Raises Undecodable."""
    found = _read(body, _DEAD, ("id", "actor", "queue", "reason"), "dead letter")
    found.pop("extra", None)
    return DeadLetter(**found)


def _sparse(value: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    for name, default in defaults.items():
        given = getattr(value, name)
        if given != default:
            wire[name] = list(given) if name == "args" else given
    return wire


def _seal(wire: dict[str, Any], what: str, whose: str) -> bytes:
    body = pack(wire)
    if too_many(body):
        raise PayloadTooLarge(
            f"{what} {whose!r} holds more than {MAX_CONTAINERS:,} lists and maps:"
            " store the data elsewhere and send a reference to it",
            size=len(body),
        )
    return body


# ---- reading


def _read(body: bytes, table: Mapping[str, tuple[str, Check]], required: tuple[str, ...], what: str) -> dict[str, Any]:
    wire: dict[Any, Any] = unpack(body)
    if type(wire) is not dict:
        raise Undecodable(f"a {what} is a map, this is a {type(wire).__name__}")
    _check_version(wire.pop("v", None), what)
    for key in required:
        if key not in wire:
            raise Undecodable(f"the {what} has no key {key!r}")
    found: dict[str, Any] = {}
    extra: dict[str, Any] | None = None
    for key, value in wire.items():
        known = table.get(key)
        if known is not None:
            name, check = known
            try:
                found[name] = check(value)
            except ValueError as error:
                raise Undecodable(f"the {what}'s key {key!r}: {error}") from None
        elif type(key) is str:
            extra = extra or {}
            extra[key] = value
        else:
            raise Undecodable(f"the {what} has a key that is not text")
    if extra:
        found["extra"] = extra
    return found


def _check_version(version: Any, what: str) -> None:
    if version == VERSION and type(version) is int:
        return
    if type(version) is int and version > VERSION:
        raise Undecodable(f"the {what} has version {version}, this program reads up to {VERSION}: upgrade actorq here")
    raise Undecodable(f"the {what} has no version that this program knows")


def _of(kind: type, what: str, holds: Callable[[Any], object] = lambda _: True) -> Check:
    def check(value: Any) -> Any:
        if type(value) is kind and holds(value):
            return value
        raise ValueError(f"not {what}")

    return check


def _any(value: Any) -> Any:
    return value


def _text(value: Any) -> Any:
    if type(value) is str:
        return value
    raise ValueError("not text")


def _number(value: Any) -> Any:
    if (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**63):
        return value
    raise ValueError("not a number")


def _reply(value: Any) -> Any:
    return value if type(value) is str else _number(value)


def _items(value: Any) -> tuple[Any, ...]:
    if value.__class__ is list:
        return tuple(value)
    raise ValueError("not a list")


def _retry(value: Any) -> Retry:
    try:
        if len(fields := _items(value)) == 7:
            return Retry(*fields)
    except (ConfigError, OverflowError) as error:
        raise ValueError("not a retry policy") from error
    raise ValueError("not a retry policy")


def _error(value: Any) -> ErrorInfo:
    fields = {name: _ERROR[name](given) for name, given in _text_map(value).items() if name in _ERROR}
    if "type_name" not in fields or "message" not in fields:
        raise ValueError("an error without type_name and message")
    return ErrorInfo(**fields)


_flag = _of(bool, "true or false")
_count = _of(int, "a count", lambda v: 0 <= v < 2**31)
_token = _of(str, "a token", re.compile(r"[A-Za-z0-9_-]{1,64}\Z").match)
_address = _of(str, "an actor or actor.method", re.compile(r"[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64})?\Z").match)
_text_map = _of(dict, "a map with text as keys", lambda v: all(type(key) is str for key in v))

_ENVELOPE: dict[str, tuple[str, Check]] = {
    "id": ("id", _token),
    "to": ("to", _address),
    "root": ("root", _token),
    "parent": ("parent", _token),
    "a": ("args", _items),
    "kw": ("kwargs", _text_map),
    "n": ("attempt", _of(int, "a number from 1", lambda v: 1 <= v < 2**31)),
    "g": ("generation", _count),
    "re": ("repeat", _flag),
    "ll": ("leases_lost", _count),
    "ex": ("expires", _number),
    "dl": ("deadline", _number),
    "tl": ("time_limit", _number),
    "rp": ("retry", _retry),
    "rt": ("reply", _reply),
    "k": ("frames", _items),
    "tp": ("trace", _of(dict, "a map of text", lambda v: all(type(t) is str for pair in v.items() for t in pair))),
    "m": ("meta", _text_map),
}
_ERROR: dict[str, Check] = {
    **dict.fromkeys(("type_name", "message", "traceback", "kind", "reason", "actor", "task_id", "path"), _text),
    "attempts": _count,
    "abandoned": _flag,
    "args": _items,
}
_RECORD: dict[str, tuple[str, Check]] = {
    "id": ("id", _token),
    "state": ("state", _of(str, "a state", _STATES.__contains__)),
    "g": ("generation", _count),
    "value": ("value", _any),
    "error": ("error", _error),
    "n": ("attempts", _count),
    "at": ("at", _number),
    "worker": ("worker", _text),
    "reason": ("reason", _text),
}
_DEAD: dict[str, tuple[str, Check]] = {
    **{name: (name, _text) for name in ("error", "message", "traceback", "worker", "subject", "reason")},
    **{name: (name, _token) for name in ("id", "queue")},
    **{name: (name, _count) for name in ("attempts", "deliveries")},
    **{name: (name, _number) for name in ("at", "first_at")},
    "actor": ("actor", _address),
    "envelope": ("envelope", _of(bytes, "bytes")),
}
_ERROR_DEFAULTS = {field.name: field.default for field in dataclasses.fields(ErrorInfo)}
_DEAD_DEFAULTS = {field.name: field.default for field in dataclasses.fields(DeadLetter)}
