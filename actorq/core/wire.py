"""Wire values to bytes and back, within caps on size, number and depth of containers (semantics C-1).

Tuples, sets, times, Decimal, UUID, integers beyond 64 bits and text that is not valid UTF-8 are extension types, so
that they come back as what they were. Nothing here pickles or imports by name.

Two libraries on purpose: msgpack's packer can tell a tuple from a list (msgspec's cannot), msgspec's decoder neither
allocates what a forged length claims nor overflows the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from itertools import chain
from typing import Any, TypeGuard
from uuid import UUID

import msgpack
import msgspec

from actorq.core.values import CONTAINERS, MAX_DEPTH

MAX_BODY = 1024 * 1024
"""Bytes that are decoded at most."""
MAX_CONTAINERS = 65_536
"""Lists, maps, tuples and sets in one message at most: a few bytes of each become some hundred in memory."""
_ROOM = 16  # levels that an envelope, its frames and their signatures add around values


class Undecodable(ValueError):
    """Bytes are not a message that this version can read. The text says why."""


# ---- packing


def pack(value: Any) -> bytes:
    """The bytes of a wire value; equal sets give equal bytes in every process. Raises TypeError for anything else."""
    try:
        return _pack(value)
    except UnicodeEncodeError:
        return _pack(_escape(value))


def _pack(value: Any) -> bytes:
    # A packer for each call: a shared one breaks when a second thread packs while the first is in the hook.
    body: bytes = _Packer(strict_types=True, default=_extend, buf_size=512).pack(value)
    return body


def _extend(value: Any) -> msgpack.ExtType:
    kind = value.__class__
    found = _BY_TYPE.get(kind)
    if found is None:
        raise TypeError(f"{kind.__qualname__} is not a wire value")
    code, encode = found
    return msgpack.ExtType(code, encode(value))


def _unordered(items: Iterable[Any]) -> bytes:
    packed = sorted(pack(item) for item in items)
    header: bytes = _Packer().pack_array_header(len(packed))
    return header + b"".join(packed)


def _escape(value: Any) -> Any:
    """The same with text that UTF-8 cannot hold (file names may have lone surrogates) as an extension type."""
    kind = value.__class__
    if kind is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return msgpack.ExtType(_TEXT, value.encode("utf-8", "surrogatepass"))
    if kind is dict:
        return {_escape(k): _escape(v) for k, v in value.items()}
    return [_escape(v) for v in value] if kind is list else value


# ---- unpacking


def unpack(body: bytes) -> Any:
    """The wire value in ``body``. Raises Undecodable, and nothing else, whatever the bytes are."""
    if len(body) > MAX_BODY:
        raise Undecodable(f"{len(body):,} bytes are more than the {MAX_BODY:,} that are decoded")
    if too_many(body):
        raise Undecodable(f"it holds more than {MAX_CONTAINERS:,} lists and maps")
    try:
        value = _DECODER.decode(body)
        if _suspects(body) > MAX_DEPTH and _too_deep(value):
            raise RecursionError
    except RecursionError:
        raise Undecodable(f"it nests deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, ValueError, TypeError, OverflowError, DecimalException) as error:
        raise Undecodable(str(error) or type(error).__name__) from error
    return value


def unpack_map(body: bytes) -> dict[Any, Any] | None:
    """As ``unpack`` where a map is expected; None for anything else, undecodable bytes included."""
    try:
        value = unpack(body)
    except Undecodable:
        return None
    return value if _is_map(value) else None


def _is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def too_many(body: bytes) -> bool:
    """Whether there are more containers in ``body`` than may be, known without decoding it."""
    return len(body) > MAX_CONTAINERS and _suspects(body) > MAX_CONTAINERS and count_containers(body) > MAX_CONTAINERS


def _suspects(body: bytes) -> int:
    """How many bytes could start a container: at least as many as there are (some are part of text or numbers)."""
    return len(body) - len(body.translate(None, _STARTS))


def count_containers(body: bytes) -> int:
    """The number of containers, by stepping from item to item; stops above the cap."""
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
                step = inside + 1  # on to the list in it
        at += step
    return count


def _steps() -> list[tuple[int, int]]:
    """For each first byte: how far to the next item, and the width of a length that adds to that."""
    steps = [(1, 0)] * 256
    for head in range(0xA0, 0xC0):
        steps[head] = (1 + head - 0xA0, 0)
    for i in range(3):  # bin, str and ext with lengths of 1, 2 and 4 bytes
        steps[0xC4 + i] = steps[0xD9 + i] = (1 + 2**i, 2**i)
        steps[0xC7 + i] = (2 + 2**i, 2**i)
    for i in range(4):  # uint and int of 1 to 8 bytes
        steps[0xCC + i] = steps[0xD0 + i] = (1 + 2**i, 0)
    for i in range(5):  # ext of 1 to 16 bytes
        steps[0xD4 + i] = (2 + 2**i, 0)
    for head, step in ((0xCA, 5), (0xCB, 9), (0xDC, 3), (0xDD, 5), (0xDE, 3), (0xDF, 5)):
        steps[head] = (step, 0)
    return steps


def _too_deep(value: Any) -> bool:
    level: list[Any] = [value] if type(value) in CONTAINERS else []
    for _ in range(MAX_DEPTH + _ROOM):
        if not level:
            return False
        parts: Iterable[Any] = (chain(c, c.values()) if c.__class__ is dict else c for c in level)
        level = [part for part in chain.from_iterable(parts) if type(part) in CONTAINERS]
    return True


def _restore(code: int, data: memoryview) -> Any:
    decode = _BY_CODE.get(code)
    if decode is None:
        raise Undecodable(f"it holds a value of the unknown extension type {code}: a newer version may have sent it")
    return decode(data)  # a view, not a copy: extensions may nest, and each level would copy all below


def _datetime(data: memoryview) -> datetime:
    value = datetime.fromisoformat(str(data, "ascii"))
    if value.utcoffset() is None:
        raise Undecodable("it holds a datetime without a time zone")
    return value


def _timedelta(data: memoryview) -> timedelta:
    days, seconds, microseconds = _DECODER.decode(data)
    return timedelta(days, seconds, microseconds)


def _items(data: memoryview) -> list[Any]:
    items: list[Any] = _DECODER.decode(data)
    if type(items) is not list:
        raise Undecodable("it holds a tuple or set that is not made of a list")
    return items


# The stub of the package describes its pure Python twin, which has no buf_size.
_Packer: Any = msgpack.Packer
_TEXT = 11
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
    int: (10, lambda v: v.to_bytes(v.bit_length() // 8 + 1, "big", signed=True)),  # beyond 64 bits
}
_BY_CODE: dict[int, Callable[[memoryview], Any]] = {
    1: _datetime,
    2: lambda data: date.fromisoformat(str(data, "ascii")),
    3: lambda data: time.fromisoformat(str(data, "ascii")),
    4: _timedelta,
    5: lambda data: Decimal(str(data, "ascii")),
    6: lambda data: UUID(bytes=bytes(data)),
    7: lambda data: set(_items(data)),
    8: lambda data: frozenset(_items(data)),
    9: lambda data: tuple(_items(data)),
    10: lambda data: int.from_bytes(data, "big", signed=True),
    _TEXT: lambda data: str(data, "utf-8", "surrogatepass"),
}
_NESTED = (b"\x07", b"\x08", b"\x09")  # the extension types that hold further items
_DECODER = msgspec.msgpack.Decoder(ext_hook=_restore)
_STEPS = _steps()
_INSIDE = {0xC7: 2, 0xC8: 3, 0xC9: 5} | dict.fromkeys(range(0xD4, 0xD9), 1)  # where an extension's type stands
_STARTS = bytes([*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)])
