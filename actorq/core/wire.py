"""What can travel: MessagePack and the extension types of semantics C-1, in and out, within caps.

A wire value is made of None, bool, int, float, str, bytes, list, dict, and of tuple, set, frozenset, aware datetime,
date, time, timedelta, Decimal and UUID, which travel as extension types and come back as what they were. Nothing here
pickles or imports by name.

Two libraries on purpose: msgpack's packer can tell a tuple from a list (msgspec's cannot), msgspec's decoder neither
allocates what a forged length claims nor overflows the stack.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from enum import Enum
from itertools import chain
from typing import Any, cast
from uuid import UUID

import msgpack
import msgspec

MAX_BODY = 1024 * 1024
"""Bytes that are decoded at most."""
MAX_CONTAINERS = 65_536
"""Lists, maps, tuples and sets in one message at most: each costs some hundred bytes of memory."""
MAX_DEPTH = 64
"""How deep the containers of one value may nest."""
_ROOM = 16  # levels that an envelope, its frames and signatures add around values

PLAIN = frozenset({type(None), bool, int, float, str, bytes, date, timedelta, Decimal, UUID})
"""Types whose every instance is a wire value."""


class Undecodable(ValueError):
    """Bytes are not a message that this version can read. The text says why."""


# ---- values to wire values


def to_wire(value: Any) -> Any:
    """The wire value for ``value``: a copy in which enums are their values and dataclasses, Structs and models are maps.

    Raises TypeError naming what cannot travel, and where in ``value`` it is.
    """
    if type(value) in PLAIN:
        return value
    try:
        return _to_wire(value, MAX_DEPTH)
    except TypeError as error:
        path = _locate(value, MAX_DEPTH)
        raise TypeError(f"{path}: {error}" if path else str(error)) from None


def _to_wire(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if not depth:
        raise TypeError(f"values may nest at most {MAX_DEPTH} levels deep, and must not contain themselves")
    if kind is list:
        return [v if type(v) in PLAIN else _to_wire(v, depth - 1) for v in value]
    if kind is dict:
        return {_key(k, depth): v if type(v) in PLAIN else _to_wire(v, depth - 1) for k, v in value.items()}
    if kind in (tuple, set, frozenset):
        return kind([v if type(v) in PLAIN else _to_wire(v, depth - 1) for v in value])
    return _other(value, depth)


def _key(key: Any, depth: int) -> Any:
    return key if type(key) in PLAIN else _to_wire(key, depth - 1)


def _other(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return _to_wire(value.value, depth - 1)
    if isinstance(value, datetime | time):
        return _moment(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    for base in (bool, int, float, str, bytes, date, timedelta, Decimal, UUID):
        if isinstance(value, base):
            return unpack(pack(value)) if base in (date, timedelta, UUID) else base(value)
    for base in (dict, list, tuple, set, frozenset):
        if isinstance(value, base):
            return _to_wire(base(value), depth)
    fields = _fields(value)
    if fields is None:
        raise TypeError(
            f"a {type(value).__qualname__} cannot travel: send plain values, a dataclass, or a reference to it"
        )
    return _to_wire(fields, depth)


def _moment(value: datetime | time) -> datetime | time:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise TypeError(f"the datetime {value.isoformat()} has no time zone: write datetime.now(UTC), for example")
        return datetime.fromisoformat(value.isoformat())
    if value.tzinfo is not None and value.utcoffset() is None:
        raise TypeError(f"the time {value.isoformat()} is in a zone without a fixed offset: send a datetime instead")
    return time.fromisoformat(value.isoformat())


def _fields(value: Any) -> dict[Any, Any] | None:
    """The map for a dataclass, Struct or pydantic model, None for anything else."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        tag = value.__struct_config__
        found = {wire: getattr(value, name) for wire, name in names}
        return found if tag.tag_field is None else {tag.tag_field: tag.tag, **found}
    if is_model(type(value)):
        return cast(dict[Any, Any], value.model_dump(mode="python", by_alias=True))
    return None


def is_model(kind: Any) -> bool:
    """Whether ``kind`` is a pydantic model. Never imports pydantic: without it in the process there is no model."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def _locate(value: Any, depth: int) -> str:
    """Where in ``value`` the part lies that cannot travel, as ``[2].name``."""
    if not depth:
        return ""
    inner = value if isinstance(value, dict | list | tuple | set | frozenset) else _fields(value)
    steps: Iterable[tuple[str, Any]]
    if isinstance(inner, dict):
        steps = ((f"[{k!r}]" if inner is value else f".{k}", v) for k, v in cast(dict[Any, Any], inner).items())
    else:
        steps = ((f"[{i}]", v) for i, v in enumerate(cast(Iterable[Any], inner or ())))
    for step, part in steps:
        try:
            _to_wire(part, depth - 1)
        except TypeError:
            return step + _locate(part, depth - 1)
    return ""


# ---- wire values to bytes


def pack(value: Any) -> bytes:
    """The bytes of a wire value, the same for equal sets in every process. Raises TypeError for anything else."""
    # A packer for each call: one that is shared breaks as soon as a second thread packs while the first is in a hook.
    try:
        return _packer().pack(value)
    except UnicodeEncodeError:
        return _packer().pack(_escape(value))


def _packer() -> msgpack.Packer:
    return msgpack.Packer(strict_types=True, default=_extend, buf_size=512)


def _extend(value: Any) -> msgpack.ExtType:
    found = _BY_TYPE.get(type(value))
    if found is None:
        raise TypeError(f"a {type(value).__qualname__} is not a wire value")
    code, encode = found
    return msgpack.ExtType(code, encode(value))


def _unordered(items: Iterable[Any]) -> bytes:
    packed = sorted(pack(item) for item in items)
    return cast(bytes, msgpack.Packer().pack_array_header(len(packed))) + b"".join(packed)


def _big(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _escape(value: Any) -> Any:
    """The same with text that is not valid UTF-8 (file names may hold lone surrogates) as an extension type."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return msgpack.ExtType(_TEXT, value.encode("utf-8", "surrogatepass"))
        return value
    if isinstance(value, dict):
        return {_escape(k): _escape(v) for k, v in cast(dict[Any, Any], value).items()}
    if isinstance(value, list):
        return [_escape(v) for v in cast(list[Any], value)]
    return value


# ---- bytes to wire values


def unpack(body: bytes) -> Any:
    """The wire value in ``body``. Raises Undecodable, and nothing else, whatever the bytes are."""
    if len(body) > MAX_BODY:
        raise Undecodable(f"{len(body):,} bytes are more than the {MAX_BODY:,} that are decoded")
    suspects = _suspects(body)
    if suspects > MAX_CONTAINERS and count_containers(body) > MAX_CONTAINERS:
        raise Undecodable(f"it holds more than {MAX_CONTAINERS:,} lists and maps")
    try:
        value = _DECODER.decode(body)
    except RecursionError:
        raise Undecodable(_TOO_DEEP) from None
    except _DECODE_ERRORS as error:
        raise Undecodable(str(error) or type(error).__name__) from error
    if suspects > MAX_DEPTH and _too_deep(value):
        raise Undecodable(_TOO_DEEP)
    return value


_TOO_DEEP = f"it nests deeper than {MAX_DEPTH} levels"
_DECODE_ERRORS = (msgspec.DecodeError, ValueError, TypeError, OverflowError, DecimalException)


def _suspects(body: bytes) -> int:
    """At least as many as there are containers: the bytes that could start one (some are part of text or numbers)."""
    return len(body) - len(body.translate(None, _STARTS))


def count_containers(body: bytes) -> int:
    """How many lists, maps, tuples and sets ``body`` holds, counted without decoding; stops above the cap."""
    count, at, end = 0, 0, len(body)
    while at < end and count <= MAX_CONTAINERS:
        head = body[at]
        step, width = _STEPS[head]
        if width:
            step += int.from_bytes(body[at + 1 : at + 1 + width], "big")
        if head in _STARTS:
            inside = _INSIDE.get(head)
            if inside is None:
                count += 1
            elif body[at + inside : at + inside + 1] in _NESTED:
                count, step = count + 1, inside + 1
        at += step
    return count


def _steps() -> list[tuple[int, int]]:
    """For each first byte: how far to the next item, and the width of a length that adds to that."""
    steps = [(1, 0)] * 256
    for head in range(0xA0, 0xC0):
        steps[head] = (1 + head - 0xA0, 0)
    for i in range(3):  # bin, ext and str with lengths of 1, 2, 4 bytes; array and map of 2, 4 bytes
        steps[0xC4 + i] = steps[0xD9 + i] = (1 + 2**i, 2**i)
        steps[0xC7 + i] = (2 + 2**i, 2**i)
    for i in range(4):  # uint, int of 1 to 8 bytes
        steps[0xCC + i] = steps[0xD0 + i] = (1 + 2**i, 0)
    for i in range(5):  # ext of 1 to 16 bytes
        steps[0xD4 + i] = (2 + 2**i, 0)
    for head, step in ((0xCA, 5), (0xCB, 9), (0xDC, 3), (0xDD, 5), (0xDE, 3), (0xDF, 5)):
        steps[head] = (step, 0)
    return steps


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + _ROOM):
        below: list[Any] = []
        for holder in level:
            if type(holder) in _HOLDERS:
                parts = chain(holder, holder.values()) if type(holder) is dict else holder
                below += [part for part in parts if type(part) in _HOLDERS]
        if not below:
            return False
        level = below
    return True


def _restore(code: int, data: memoryview) -> Any:
    decode = _BY_CODE.get(code)
    if decode is None:
        raise Undecodable(f"it holds a value of the unknown extension type {code}: a newer version may have sent it")
    return decode(bytes(data))


def _aware(data: bytes) -> datetime:
    value = datetime.fromisoformat(data.decode())
    if value.utcoffset() is None:
        raise Undecodable("it holds a datetime without a time zone")
    return value


def _items(data: bytes) -> list[Any]:
    value = _DECODER.decode(data)
    if type(value) is not list:
        raise Undecodable("it holds a tuple or set that is not a list of items")
    return cast(list[Any], value)


def _span(data: bytes) -> timedelta:
    days, seconds, microseconds = _items(data)
    return timedelta(days, seconds, microseconds)


_HOLDERS = frozenset({dict, list, tuple, set, frozenset})
_TEXT = 11
_NESTED = (b"\x07", b"\x08", b"\x09")
_BY_TYPE: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    datetime: (1, lambda v: v.isoformat().encode()),
    date: (2, lambda v: v.isoformat().encode()),
    time: (3, lambda v: v.isoformat().encode()),
    timedelta: (4, lambda v: pack([v.days, v.seconds, v.microseconds])),
    Decimal: (5, lambda v: str(v).encode()),
    UUID: (6, lambda v: v.bytes),
    set: (7, _unordered),
    frozenset: (8, _unordered),
    tuple: (9, lambda v: pack(list(v))),
    int: (10, _big),  # beyond 64 bits
}
_BY_CODE: dict[int, Callable[[bytes], Any]] = {
    1: _aware,
    2: lambda data: date.fromisoformat(data.decode()),
    3: lambda data: time.fromisoformat(data.decode()),
    4: _span,
    5: lambda data: Decimal(data.decode()),
    6: lambda data: UUID(bytes=data),
    7: lambda data: set(_items(data)),
    8: lambda data: frozenset(_items(data)),
    9: lambda data: tuple(_items(data)),
    10: lambda data: int.from_bytes(data, "big", signed=True),
    _TEXT: lambda data: data.decode("utf-8", "surrogatepass"),
}
_DECODER = msgspec.msgpack.Decoder(ext_hook=_restore)
_STEPS = _steps()
_INSIDE = {0xC7: 2, 0xC8: 3, 0xC9: 5} | dict.fromkeys(range(0xD4, 0xD9), 1)  # where the code of an extension stands
_STARTS = bytes([*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)])
