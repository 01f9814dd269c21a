"""Any value that may travel to the wire value that does (semantics C-1).

A wire value is made of None, bool, int, float, str, bytes, list, dict, tuple, set, frozenset, aware datetime, date,
time, timedelta, Decimal and UUID. Enums travel as their values; dataclasses, msgspec Structs and pydantic models as
maps, rebuilt from the receiver's annotations (``actorq.core.annotations``). How wire values become bytes is the
business of ``actorq.core.wire``.
"""

from __future__ import annotations

import dataclasses
import reprlib
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

import msgspec

MAX_DEPTH = 64
"""How deep the containers of one value may nest."""

PLAIN = frozenset({type(None), bool, int, float, str, bytes, date, timedelta, Decimal, UUID})
"""Types whose every instance is a wire value."""
NO_TEXT = "<its text cannot be had>"
CONTAINERS = frozenset({dict, list, tuple, set, frozenset})


def to_wire(value: Any, what: str = "") -> Any:
    """The wire value for ``value``; containers are copied, subclasses of plain types become those.

    Raises TypeError, and nothing else, naming what cannot travel, why, and where in ``what`` it is.
    """
    try:
        return _to_wire(value, MAX_DEPTH)
    except Exception as error:  # noqa: BLE001  user code: properties, iterators and models may raise anything
        own = isinstance(error, TypeError)
        text = text_of(error) if own else f"{type(error).__qualname__}: {text_of(error)}"
        place = what + _locate(value, MAX_DEPTH)
        raise TypeError(f"{place}: {text}" if place else text) from (None if own else error)


def text_of(error: BaseException) -> str:
    """The text of an exception whose ``__str__`` may be user code."""
    try:
        return str.__str__(str(error))
    except Exception:  # noqa: BLE001  user code: a broken __str__ must not hide the failure
        return NO_TEXT


def _to_wire(value: Any, depth: int) -> Any:
    kind = cast("Any", type(value))
    if kind in PLAIN:
        return value
    if not depth:
        raise TypeError(f"values may nest at most {MAX_DEPTH} levels deep and must not contain themselves")
    below = depth - 1
    if kind is dict:
        return {
            k if type(k) in PLAIN else _to_wire(k, below): v if type(v) in PLAIN else _to_wire(v, below)
            for k, v in value.items()
        }
    if kind in CONTAINERS:
        return kind([v if type(v) in PLAIN else _to_wire(v, below) for v in value])
    return _other(value, depth)


def _other(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return _to_wire(value.value, depth - 1)
    for base, plain in _SUBCLASSES:
        if isinstance(value, base):
            return plain(value)
    for container in CONTAINERS:
        if issubclass(type(value), container):
            return _to_wire(container(value), depth)
    fields = _fields(value)
    if fields is None:
        raise TypeError(
            f"{type(value).__qualname__} cannot travel: send plain values, a dataclass, or a reference to the object"
        )
    return _to_wire(fields, depth)


def _datetime(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise TypeError(f"the datetime {value.isoformat()} has no time zone: write datetime.now(UTC), for example")
    return datetime.fromisoformat(value.isoformat())


def _time(value: time) -> time:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise TypeError(f"the time {value.isoformat()} is in a zone without a fixed offset: send a datetime instead")
    return time.fromisoformat(value.isoformat())


# Not by calling the class: a subclass may have its own idea of what that gives.
_SUBCLASSES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (datetime, _datetime),
    (time, _time),
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, bytes.__bytes__),
    (bytearray, bytes),
    (memoryview, bytes),
    (date, lambda v: date(v.year, v.month, v.day)),
    (timedelta, lambda v: timedelta(v.days, v.seconds, v.microseconds)),
    (Decimal, Decimal),
    (UUID, lambda v: UUID(int=v.int)),
)


def _fields(value: Any) -> dict[Any, Any] | list[Any] | None:
    """What a dataclass, Struct or pydantic model travels as; None for anything else."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if is_model(type(value)):
        model: dict[Any, Any] = value.model_dump(mode="python", by_alias=True)
        return model
    return None


def _struct(value: msgspec.Struct) -> dict[Any, Any] | list[Any]:
    names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
    fields: dict[Any, Any] = {
        wire: found for wire, name in names if (found := getattr(value, name)) is not msgspec.UNSET
    }
    config = value.__struct_config__
    if config.tag_field is not None:
        fields = {config.tag_field: config.tag, **fields}
    return list(fields.values()) if config.array_like else fields


def is_model(kind: Any) -> bool:
    """Whether ``kind`` is a pydantic model. Never imports pydantic: without it in the process there is no model."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def _locate(value: Any, depth: int) -> str:
    """Where in ``value`` the part lies that cannot travel, such as ``[2].name``."""
    with suppress(Exception):  # user code, as it was before
        for step, part in _parts(value) if depth else ():
            if not _travels(part, depth - 1):
                return step + _locate(part, depth - 1)
    return ""


def _travels(value: Any, depth: int) -> bool:
    try:
        _to_wire(value, depth)
    except Exception:  # noqa: BLE001  user code
        return False
    return True


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    held: Any = value
    if not issubclass(type(value), dict | list | tuple | set | frozenset):
        held = _fields(value) or ()
    if issubclass(type(held), dict):
        return ((f"[{reprlib.repr(k)}]" if held is value else f".{k}", v) for k, v in held.items())
    return ((f"[{i}]", v) for i, v in enumerate(held))
