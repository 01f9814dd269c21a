"""Envelopes, records and dead letters to bytes and back (semantics C-1, D-1, F-3, B-6).

What equals its default is left out. Unknown keys are kept and sent on. Decoding raises Undecodable, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

from actorq.core.wire import MAX_CONTAINERS, Undecodable, count_containers, pack, to_wire, unpack
from actorq.errors import PayloadTooLarge
from actorq.model.envelope import VERSION, DeadLetter, Envelope, ErrorInfo, Record

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
    "to_wire",
    "unpack",
]

T = TypeVar("T")
Check = Callable[[Any], Any]
STATES = frozenset({"succeeded", "failed", "cancelled", "expired", "retrying", "replaced"})
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_ADDRESS = re.compile(r"[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64})?\Z")
_COUNT_LIMIT = 2**31


# ---- envelope


def encode_envelope(envelope: Envelope) -> bytes:
    """The body of a task's message. Raises PayloadTooLarge if it holds more containers than a receiver decodes."""
    e = envelope
    wire: dict[str, Any] = {**e.extra, "v": VERSION, "id": e.id, "to": e.to}
    if e.root and e.root != e.id:
        wire["root"] = e.root
    if e.parent:
        wire["parent"] = e.parent
    if e.args:
        wire["a"] = list(e.args)
    if e.kwargs:
        wire["kw"] = dict(e.kwargs)
    if e.attempt != 1:
        wire["n"] = e.attempt
    if e.generation:
        wire["g"] = e.generation
    if e.repeat:
        wire["re"] = True
    if e.leases_lost:
        wire["ll"] = e.leases_lost
    if e.expires is not None:
        wire["ex"] = e.expires
    if e.deadline is not None:
        wire["dl"] = e.deadline
    if e.time_limit is not None:
        wire["tl"] = e.time_limit
    if e.reply is not None:
        wire["rt"] = e.reply
    if e.frames or e.trace is not None or e.meta:
        wire |= _context(e)
    return _seal(wire, "the message to", e.to)


def _context(envelope: Envelope) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    if envelope.frames:
        wire["k"] = list(envelope.frames)
    if envelope.trace is not None:
        wire["tp"] = dict(envelope.trace)
    if envelope.meta:
        wire["m"] = dict(envelope.meta)
    return wire


def decode_envelope(body: bytes) -> Envelope:
    """The envelope in a body. Raises Undecodable."""
    found = _read(body, _ENVELOPE, ("id", "to"), "message")
    if "root" not in found:
        found["root"] = found["id"]
    return Envelope(**found)


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
            wire[name] = list(cast(tuple[Any, ...], given)) if type(given) is tuple else given
    return wire


def _seal(wire: dict[str, Any], what: str, whose: str) -> bytes:
    body = pack(wire)
    if len(body) > MAX_CONTAINERS and count_containers(body) > MAX_CONTAINERS:
        raise PayloadTooLarge(
            f"{what} {whose!r} holds more than {MAX_CONTAINERS:,} lists and maps:"
            " store the data elsewhere and send a reference to it",
            size=len(body),
        )
    return body


# ---- reading


def _read(body: bytes, table: Mapping[str, tuple[str, Check]], required: tuple[str, ...], what: str) -> dict[str, Any]:
    wire = unpack(body)
    if type(wire) is not dict:
        raise Undecodable(f"a {what} is a map, this is a {type(wire).__name__}")
    _check_version(wire.pop("v", None), what)
    for key in required:
        if key not in wire:
            raise Undecodable(f"the {what} has no key {key!r}")
    found: dict[str, Any] = {}
    extra: dict[str, Any] | None = None
    for key, value in cast(dict[Any, Any], wire).items():
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


def _fit(holds: Callable[[Any], bool], what: str) -> Check:
    def check(value: Any) -> Any:
        if holds(value):
            return value
        raise ValueError(f"not {what}")

    return check


def _is_number(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**63)


def _is_text_map(value: Any) -> bool:
    return type(value) is dict and all(type(key) is str for key in cast(dict[Any, Any], value))


def _items(value: Any) -> tuple[Any, ...]:
    if type(value) is list:
        return tuple(cast(list[Any], value))
    raise ValueError("not a list")


def _error(value: Any) -> ErrorInfo:
    if not _is_text_map(value) or "type_name" not in value or "message" not in value:
        raise ValueError("not an error with type_name and message")
    return ErrorInfo(**{name: _ERROR[name](given) for name, given in value.items() if name in _ERROR})


_any: Check = lambda value: value  # noqa: E731
_text = _fit(lambda v: type(v) is str, "text")
_bytes = _fit(lambda v: type(v) is bytes, "bytes")
_flag = _fit(lambda v: type(v) is bool, "true or false")
_count = _fit(lambda v: type(v) is int and 0 <= v < _COUNT_LIMIT, "a count")
_ordinal = _fit(lambda v: type(v) is int and 1 <= v < _COUNT_LIMIT, "a number from 1")
_number = _fit(_is_number, "a number")
_token = _fit(lambda v: type(v) is str and _TOKEN.match(v) is not None, "a token")
_address = _fit(lambda v: type(v) is str and _ADDRESS.match(v) is not None, "an actor or actor.method")
_text_map = _fit(_is_text_map, "a map with text as keys")

_ENVELOPE: dict[str, tuple[str, Check]] = {
    "id": ("id", _token),
    "to": ("to", _address),
    "root": ("root", _token),
    "parent": ("parent", _token),
    "a": ("args", _items),
    "kw": ("kwargs", _text_map),
    "n": ("attempt", _ordinal),
    "g": ("generation", _count),
    "re": ("repeat", _flag),
    "ll": ("leases_lost", _count),
    "ex": ("expires", _number),
    "dl": ("deadline", _number),
    "tl": ("time_limit", _number),
    "rt": ("reply", _fit(lambda v: type(v) is str or _is_number(v), "a number or a subject")),
    "k": ("frames", _items),
    "tp": ("trace", _fit(lambda v: _is_text_map(v) and all(type(t) is str for t in v.values()), "a map of text")),
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
    "state": ("state", _fit(lambda v: type(v) is str and v in STATES, "a state")),
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
    "envelope": ("envelope", _bytes),
}
_ABSENT: Any = object()


def _defaults(kind: Any) -> dict[str, Any]:
    return {
        name: _ABSENT if f.default_factory is f.default else f.default for name, f in kind.__dataclass_fields__.items()
    }


_ERROR_DEFAULTS = _defaults(ErrorInfo)
_DEAD_DEFAULTS = _defaults(DeadLetter)
