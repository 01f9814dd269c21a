"""What may travel, and as what."""

from __future__ import annotations

import collections
import dataclasses
import enum
import pathlib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple
from unittest import mock
from uuid import UUID

import msgspec
import pydantic
import pytest

from actorq.core.values import to_wire
from actorq.core.wire import pack, unpack


class Zone(tzinfo):
    """A zone whose offset depends on the day."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None if when is None else timedelta(hours=3 if 3 < when.month < 11 else 2)

    def tzname(self, when: datetime | None) -> str | None:
        return None

    def dst(self, when: datetime | None) -> timedelta | None:
        return None


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Mode(enum.StrEnum):
    FAST = "fast"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    _hidden: tuple[int, ...] = ()


class Shape(msgspec.Struct, tag="shape", rename={"corners": "c"}):
    corners: list[Point]


class Plain(msgspec.Struct):
    a: int


class Row(msgspec.Struct, array_like=True, tag=True):
    a: int
    b: str


class Sparse(msgspec.Struct):
    a: int | msgspec.UnsetType = msgspec.UNSET


class Order(pydantic.BaseModel):
    id: int
    price: Decimal = pydantic.Field(alias="cost")


class Pair(NamedTuple):
    a: int
    b: str


class Shout(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Day(date):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Mode.FAST, "fast"),
        (Point(1), {"x": 1, "y": 0.0, "_hidden": ()}),
        (Shape([Point(1)]), {"type": "shape", "c": [{"x": 1, "y": 0.0, "_hidden": ()}]}),
        (Plain(1), {"a": 1}),
        (Row(1, "x"), ["Row", 1, "x"]),
        (Sparse(), {}),
        (Order(id=1, cost=Decimal("1.50")), {"id": 1, "cost": Decimal("1.50")}),
        (Pair(1, "b"), (1, "b")),
        (Shout("x"), "x"),
        (Day(2026, 1, 2), date(2026, 1, 2)),
        (collections.OrderedDict[str, Colour](a=Colour.RED), {"a": "red"}),
        (collections.defaultdict(list, {1: [Level.HIGH]}), {1: [3]}),
        (bytearray(b"x"), b"x"),
        (memoryview(b"xyz")[1:], b"yz"),
        ({Colour.RED: {Level.HIGH}}, {"red": {3}}),
        ({(Colour.RED, 1): frozenset({Mode.FAST})}, {("red", 1): frozenset({"fast"})}),
        (time(1, 2, tzinfo=UTC), time(1, 2, tzinfo=UTC)),
        (2**100, 2**100),
        ("\udcff.txt", "\udcff.txt"),
    ],
)
def test_what_travels(value: Any, expected: Any) -> None:
    found = to_wire(value)
    assert found == expected
    assert type(found) is type(expected)
    assert unpack(pack(found)) == expected


def test_a_datetime_keeps_its_moment_and_offset() -> None:
    moment = datetime(2026, 7, 1, 12, tzinfo=Zone())
    back = unpack(pack(to_wire(moment)))
    assert back == moment
    assert back.utcoffset() == timedelta(hours=3)


def test_containers_are_copied() -> None:
    """What a caller changes after the call is not sent."""
    value = {"a": [1]}
    found = to_wire(value)
    value["a"].append(2)
    assert found == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "object cannot travel"),
        (datetime(2026, 1, 1), "no time zone: write datetime.now"),  # noqa: DTZ001
        (time(1, tzinfo=Zone()), "without a fixed offset"),
        (pathlib.PurePosixPath("/x"), "PurePosixPath cannot travel"),
        (Point, "type cannot travel"),
        (lambda: 1, "function cannot travel"),
        ([1, {"a": (2, object())}], r"^\[1\]\['a'\]\[1\]: object"),
        ([Point(object())], r"^\[0\]\.x: object"),  # type: ignore[arg-type]
        (UUID, "type cannot travel"),
        (ValueError("x"), "ValueError cannot travel"),
        (iter([1]), "list_iterator cannot travel"),
    ],
)
def test_what_cannot_travel_is_named_with_its_place(value: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        to_wire(value)


@dataclasses.dataclass
class Unset:
    x: int = dataclasses.field(init=False)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def odd(kind: type, member: str, error: Exception) -> Any:
    """An instance of a subclass of ``kind`` whose ``member`` raises."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return type("Odd", (kind,), {member: property(fail) if member == "__class__" else fail})()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Unset, r"^AttributeError: 'Unset' object has no attribute 'x'$"),
        (lambda: odd(list, "__iter__", LookupError("gone")), "^LookupError: gone$"),
        (lambda: odd(object, "__class__", OSError("who?")), "^OSError: who[?]$"),
        (lambda: odd(pydantic.BaseModel, "model_dump", ValueError("no dump")), "^ValueError: no dump$"),
        (lambda: odd(list, "__iter__", TypeError("mine")), "^mine$"),
        (lambda: odd(list, "__iter__", Mute()), "^Mute: <its text cannot be had>$"),
        (lambda: datetime(2026, 1, 1, tzinfo=odd(tzinfo, "utcoffset", KeyError("zone"))), "^KeyError: 'zone'$"),
    ],
)
def test_code_of_the_value_that_raises_is_a_type_error_with_its_place(make: Callable[[], Any], text: str) -> None:
    value = make()
    with pytest.raises(TypeError, match=text) as caught:
        to_wire(value)
    assert (caught.value.__cause__ is None) == (text == "^mine$")
    with pytest.raises(TypeError, match=rf"^rows\['a'\]\[1\]: {text[1:]}"):
        to_wire({"a": [1, value]}, "rows")


def test_the_place_of_what_cannot_travel_is_short() -> None:
    with pytest.raises(TypeError) as caught:
        to_wire({"k" * 10_000: object()})
    assert len(str(caught.value)) < 200


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TypeError, match="must not contain themselves"):
        to_wire(value)


def test_a_class_that_pretends_is_refused() -> None:
    pretender = mock.Mock(spec=int)
    assert isinstance(pretender, int)
    with pytest.raises(TypeError):
        to_wire(pretender)
