"""What one annotation admits, and what comes of it (A-4)."""

from __future__ import annotations

import dataclasses
import enum
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest

from actorq.errors import InvalidArguments
from tests.core.handlers import result, taking, through

NOW = datetime(2026, 1, 2, tzinfo=UTC)
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise LookupError("x is negative")


class Line(msgspec.Struct):
    ends: tuple[Point, Point]


class Table(msgspec.Struct, array_like=True):
    cells: list[int]
    width: int


class Order(pydantic.BaseModel):
    id: int
    colour: Colour = Colour.RED


class Row(TypedDict):
    a: int


@dataclasses.dataclass
class Wrapper:
    order: Order


FITS: list[tuple[Any, Any, Any]] = [
    (int, 1, 1),
    (int, 2**80, 2**80),
    (float, 1.5, 1.5),
    (float, 1, 1.0),
    (str, "x", "x"),
    (bool, True, True),
    (bytes, b"x", b"x"),
    (bytes, bytearray(b"x"), b"x"),
    (None, None, None),
    (datetime, NOW, NOW),
    (date, NOW.date(), NOW.date()),
    (timedelta, timedelta(1), timedelta(1)),
    (Decimal, Decimal("1.50"), Decimal("1.50")),
    (UUID, UUID(int=1), UUID(int=1)),
    (int | None, None, None),
    (int | float, 1, 1),
    (int | float, 1.5, 1.5),
    (str | datetime, NOW, NOW),
    (str | datetime, "x", "x"),
    (list[int] | set[int], {1}, {1}),
    (bytes | str | None, b"x", b"x"),
    (Literal["a", "b"], "a", "a"),
    (Annotated[int, msgspec.Meta(ge=1)], 5, 5),
    (list[int], [1, 2], [1, 2]),
    (list[float], [1, 2.5], [1.0, 2.5]),
    (list[Any], [(1,), {2}, NOW], [(1,), {2}, NOW]),
    (list, [(1,)], [(1,)]),
    (tuple[int, str], (1, "a"), (1, "a")),
    (tuple[int, ...], [1], (1,)),
    (set[str], {"a"}, {"a"}),
    (frozenset[int], frozenset({1}), frozenset({1})),
    (dict[str, Point], {"a": Point(1)}, {"a": Point(1)}),
    (dict[tuple[int, int], str], {(1, 2): "x"}, {(1, 2): "x"}),
    (Sequence[int], [1], [1]),
    (Mapping[str, int], {"a": 1}, {"a": 1}),
    (Iterable[int], [1], [1]),
    (numbers.Number, 1, 1),
    (Colour, Colour.RED, Colour.RED),
    (Colour, "red", Colour.RED),
    (Level, Level.HIGH, Level.HIGH),
    (Point, Point(1, 2), Point(1, 2.0)),
    (Point, {"x": 1}, Point(1)),
    (Point, {"x": 1, "later": 2}, Point(1)),
    (Point | None, Point(1), Point(1)),
    (list[Point], [Point(1)], [Point(1)]),
    (Line, Line((Point(1), Point(2))), Line((Point(1), Point(2)))),
    (Order, Order(id=1), Order(id=1)),
    (Table, Table([1], 2), Table([1], 2)),
    (list[Order], [Order(id=1)], [Order(id=1)]),
    (Wrapper, Wrapper(Order(id=1)), Wrapper(Order(id=1))),
    (Row, {"a": 1}, {"a": 1}),
    (Any, Point(1), {"x": 1, "y": 0.0}),
    (object, (1, {2}), (1, {2})),
    (T, [1], [1]),
    (int | Any, "x", "x"),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), FITS, ids=lambda v: str(v).split(" at 0x")[0][:40])
def test_what_fits_reaches_the_handler_as_annotated(annotation: Any, value: Any, expected: Any) -> None:
    ((found,), named) = through(taking(annotation), value)
    assert found == expected
    assert type(found) is type(expected)
    assert not named


MISFITS: list[tuple[Any, Any, str]] = [
    (int, "1", "a: expected `int`, got `str`"),
    (int, 1.0, "a: expected `int`, got `float`"),
    (int, True, "a: expected `int`, got `bool`"),
    (float, "1", "a: expected `float`, got `str`"),
    (float, 10**400, "a: number out of range"),
    (bool, 1, "a: expected `bool`, got `int`"),
    (str, 1, "a: expected `str`, got `int`"),
    (str, b"x", "a: expected `str`, got `bytes`"),
    (str, None, "a: expected `str`, got `null`"),
    (bytes, "x", "a: expected `bytes`, got `str`"),
    (datetime, "2026-01-01T00:00:00Z", "a: expected `datetime`, got `str`"),
    (datetime, NOW.date(), "a: expected `datetime`, got `date`"),
    (datetime, datetime(2026, 1, 1), "a: the datetime 2026-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
    (Decimal, 1.5, "a: expected `decimal`, got `float`"),
    (Decimal, "1.5", "a: expected `decimal`, got `str`"),
    (UUID, str(UUID(int=1)), "a: expected `uuid`, got `str`"),
    (timedelta, 5, "a: expected `duration`, got `int`"),
    (str | datetime, 1, "a: expected `str`, got `int`; expected `datetime`, got `int`"),
    (Literal["a"], "b", "a: invalid enum value 'b'"),
    (Annotated[int, msgspec.Meta(ge=1)], 0, "a: expected `int` >= 1"),
    (list[int], [1, "x"], "a[1]: expected `int`, got `str`"),
    (dict[str, list[Point]], {"k": [{"x": "x"}]}, "a[...][0].x: expected `int`, got `str`"),
    (dict[int, int], {"1": 2}, "key in a: expected `int`, got `str`"),
    (Colour, "blue", "a: invalid enum value 'blue'"),
    (Point, {}, "a: object missing required field `x`"),
    (Point, {"x": -1}, "a: LookupError: x is negative"),
    (Point, 1, "a: expected `object`, got `int`"),
    (Order, {"id": "x"}, "a: id: Input should be a valid integer"),
    (Iterable[int], 1, "a: expected `Iterable`, got `int`"),
    (Callable[[], None], "x", "a: expected `Callable`, got `str`"),
    (int, object(), "a: object cannot travel"),
    (list[Any], [[object()]], "a[0][0]: object cannot travel"),
]


@pytest.mark.parametrize(("annotation", "value", "text"), MISFITS, ids=lambda v: str(v).split(" at 0x")[0][:40])
def test_what_does_not_fit_is_refused_with_actor_and_path(annotation: Any, value: Any, text: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        taking(annotation).bind((value,), {})
    assert caught.value.actor == "add"
    assert f"add() argument {text}" in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(a, v) for a, v, text in MISFITS if "cannot travel" not in text and "zone" not in text][:-2],
)
def test_a_worker_refuses_what_a_sender_would(annotation: Any, value: Any) -> None:
    """A sender by name checks nothing: the receiver must."""
    (wire,), _ = taking(Any).bind((value,), {})
    with pytest.raises(InvalidArguments):
        taking(annotation).rebuild((wire,), {})


def test_the_values_of_a_model_stay_out_of_the_error() -> None:
    with pytest.raises(InvalidArguments) as caught:
        taking(Order).bind(({"id": "hunter2"},), {})
    assert "hunter2" not in str(caught.value)


def test_a_model_may_refuse_in_its_own_words() -> None:
    class Even(pydantic.BaseModel):
        id: int

        @classmethod
        def model_validate(cls, obj: Any, **_: Any) -> Any:
            raise ValueError("never")

    class Checked(pydantic.BaseModel):
        id: int

        @pydantic.model_validator(mode="after")
        def check(self) -> Checked:
            raise ValueError("not today")

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    @dataclasses.dataclass
    class Rude:
        def __post_init__(self) -> None:
            raise Mute

    for annotation, text in (
        (Even, "a: never"),
        (Checked, "a: value error, not today"),
        (Rude, "a: .*Mute: <its text"),
    ):
        with pytest.raises(InvalidArguments, match=rf"^add\(\) argument {text}"):
            taking(annotation).rebuild(({"id": 1},), {})


def test_a_union_that_fits_twice_is_ambiguous() -> None:
    @dataclasses.dataclass
    class Other:
        x: int

    with pytest.raises(InvalidArguments, match="a: several of its types fit: declare one"):
        taking(Point | Other).bind(({"x": 1},), {})
    assert through(taking(Point | Order), {"x": 1})[0] == (Point(1),)


@pytest.mark.parametrize(("annotation", "value", "expected"), FITS, ids=lambda v: str(v).split(" at 0x")[0][:40])
def test_a_result_comes_back_as_annotated(annotation: Any, value: Any, expected: Any) -> None:
    found = result(annotation).from_wire(result(annotation).to_wire(value))
    assert found == expected
