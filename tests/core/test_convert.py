"""Arguments against signature and annotations (A-4)."""

from __future__ import annotations

import dataclasses
import enum
import functools
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Never, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given

from actorq.core.codec import decode_envelope, encode_envelope
from actorq.core.convert import Parameters, Returned
from actorq.errors import InvalidArguments, UsageError
from actorq.model.envelope import Envelope
from tests.core.strategies import text_maps, wire_tuples, wire_values

NOW = datetime(2026, 1, 2, tzinfo=UTC)
T = TypeVar("T")


class Context:
    """Stands for the real one."""


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise LookupError("x is negative")


class Line(msgspec.Struct):
    ends: tuple[Point, Point]


class Order(pydantic.BaseModel):
    id: int
    colour: Colour = Colour.RED


class Row(TypedDict):
    a: int


@dataclasses.dataclass
class Wrapper:
    order: Order


def of(handler: Callable[..., Any], name: str = "add") -> Parameters:
    return Parameters.of(handler, name=name, context_type=Context)


def through(parameters: Parameters, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """As the handler gets it: bound, sent, received, rebuilt."""
    placed, named = parameters.bind(args, kwargs)
    back = decode_envelope(encode_envelope(Envelope(id="i", to="add", args=placed, kwargs=named)))
    return parameters.rebuild(back.args, back.kwargs)


def taking(annotation: Any) -> Parameters:
    def add(a: Any) -> None: ...

    add.__annotations__["a"] = annotation
    return of(add)


# ---- one argument against its annotation

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
    (list[Order], [Order(id=1)], [Order(id=1)]),
    (Wrapper, Wrapper(Order(id=1)), Wrapper(Order(id=1))),
    (Row, {"a": 1}, {"a": 1}),
    (Any, Point(1), {"x": 1, "y": 0.0}),
    (object, (1, {2}), (1, {2})),
    (T, [1], [1]),
    (int | Any, "x", "x"),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), FITS, ids=lambda v: str(v)[:40])
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


@pytest.mark.parametrize(("annotation", "value", "text"), MISFITS, ids=lambda v: str(v)[:40])
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


def test_a_union_that_fits_twice_is_ambiguous() -> None:
    @dataclasses.dataclass
    class Other:
        x: int

    with pytest.raises(InvalidArguments, match="several types of the union fit"):
        taking(Point | Other).bind(({"x": 1},), {})
    assert through(taking(Point | Order), {"x": 1})[0] == (Point(1),)


@given(wire_tuples, text_maps)
def test_without_annotations_everything_that_can_travel_does(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    def add(*args: Any, **kwargs: Any) -> None: ...

    assert through(of(add), *args, **kwargs) == (args, kwargs)


# ---- the shape of a call


def plain(a: int, b: str = "x") -> None: ...
def positional(a: int, b: int = 0, /, **rest: int) -> None: ...
def keywords(*, a: int, b: int = 0) -> None: ...
def three(a: int, b: int, c: int) -> None: ...
def variadic(a: int, *rest: int, **named: float) -> None: ...


@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "text"),
    [
        (plain, (), {}, "missing 1 required argument: 'a'"),
        (plain, (), {"b": "y"}, "missing 1 required argument: 'a'"),
        (plain, (1, "x", 3), {}, "takes 2 positional arguments but 3 were given"),
        (plain, (1,), {"a": 1}, "got multiple values for argument 'a'"),
        (plain, (1,), {"z": 1}, "got an unexpected keyword argument 'z'"),
        (positional, (), {"a": 1}, "missing 1 required argument: 'a'"),
        (keywords, (), {}, "missing 1 required argument: 'a'"),
        (keywords, (1,), {}, "takes 0 positional arguments but 1 was given"),
        (three, (), {"b": 1}, "missing 2 required arguments: 'a' and 'c'"),
        (variadic, (1, "x"), {}, "argument rest: expected `int`, got `str`"),
        (variadic, (1,), {"k": "x"}, "argument named: expected `float`, got `str`"),
    ],
)
def test_a_call_of_the_wrong_shape(handler: Callable[..., Any], args: Any, kwargs: Any, text: str) -> None:
    for check in (of(handler).bind, of(handler).rebuild):
        with pytest.raises(InvalidArguments) as caught:
            check(args, kwargs)
        assert str(caught.value) == f"add() {text}"


def test_what_the_caller_gave_is_what_is_sent() -> None:
    """Defaults are the handler's: a newer one may have others."""
    assert of(plain).bind((1,), {}) == ((1,), {})
    assert of(plain).bind((), {"a": 1}) == ((), {"a": 1})
    assert of(positional).bind((1,), {"a": 5}) == ((1,), {"a": 5})
    assert through(of(keywords), a=1) == ((), {"a": 1})
    assert through(of(variadic), 1, 2, 3, x=1) == ((1, 2, 3), {"x": 1.0})


# ---- the context


def test_the_context_is_not_the_callers_to_give() -> None:
    def charge(ctx: Context, order: int, price: float = 0.0) -> None: ...

    parameters = of(charge)
    assert parameters.context == "ctx"
    assert parameters.bind((1, 2.0), {}) == ((1, 2.0), {})
    with pytest.raises(InvalidArguments, match="unexpected keyword argument 'ctx'"):
        parameters.bind((1,), {"ctx": 1})


def first(ctx: Context, a: int, b: float = 0.0) -> Any:
    return ctx, a, b


def middle(a: int, ctx: Context | None, b: float = 0.0) -> Any:
    return ctx, a, b


def last(*rest: int, ctx: Context, **named: int) -> Any:
    return ctx, rest, named


@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "expected"),
    [
        (first, (1, 2), {}, (1, 2.0)),
        (first, (1,), {"b": 2}, (1, 2.0)),
        (first, (1,), {}, (1, 0.0)),
        (middle, (1, 2), {}, (1, 2.0)),
        (middle, (1,), {"b": 2}, (1, 2.0)),
        (middle, (), {"a": 1}, (1, 0.0)),
        (last, (1, 2), {"b": 3}, ((1, 2), {"b": 3})),
    ],
)
def test_arguments_are_placed_so_that_the_context_goes_by_name(
    handler: Callable[..., Any], args: Any, kwargs: Any, expected: Any
) -> None:
    assert of(handler).context == "ctx"
    placed, named = through(of(handler), *args, **kwargs)
    assert handler(*placed, **named, ctx="here") == ("here", *expected)


def two(a: Context, b: Context) -> None: ...
def only_by_position(ctx: Context, /) -> None: ...
def before_rest(ctx: Context, *rest: int) -> None: ...
def collected(**ctx: Context) -> None: ...


@pytest.mark.parametrize(
    ("handler", "text"),
    [(two, "its Context twice"), (only_by_position, "by name"), (before_rest, "by name"), (collected, "by name")],
)
def test_a_context_that_cannot_be_given(handler: Callable[..., Any], text: str) -> None:
    with pytest.raises(UsageError, match=f"^actor 'add'.*{text}"):
        of(handler)


# ---- declaring


def test_annotations_that_cannot_be_resolved_are_refused_when_declared() -> None:
    def add(a: int) -> None: ...

    add.__annotations__["a"] = "Missing"

    for declare in (of, Returned.of):
        with pytest.raises(UsageError, match=r"actor 'add'.*name 'Missing' is not defined.*TYPE_CHECKING"):
            declare(add)


@pytest.mark.parametrize("annotation", [Never, Mixed, list[str | datetime], dict[str, list[int] | set[int]]])
def test_annotations_that_cannot_be_checked_are_refused_when_declared(annotation: Any) -> None:
    with pytest.raises(UsageError, match=r"actor 'add': arguments for 'a' cannot be checked: .* annotate it otherwise"):
        taking(annotation)


def test_wrapped_and_partial_handlers_and_objects() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    @functools.wraps(add)
    def wrapped(*args: Any, **kwargs: Any) -> int:
        return add(*args, **kwargs)

    class Adder:
        def __call__(self, a: int) -> int:
            return a

    handlers: tuple[Callable[..., Any], ...] = (wrapped, functools.partial(add, b=1), Adder())
    for handler in handlers:
        with pytest.raises(InvalidArguments, match="argument a: expected `int`"):
            of(handler).bind(("x",) if handler is not wrapped else ("x", 1), {})


def test_the_text_for_the_register() -> None:
    def add(a: int, /, ctx: Context, b: list[str], c: str = "secret", **named: Any) -> Point: ...

    name = f"{__name__}.Point"
    assert str(of(add)) == f"(a: int, /, b: list[str], c: str = ..., **named: Any) -> {name}"
    assert str(of(plain)) == "(a: int, b: str = ...) -> None"


# ---- results


def result(annotation: Any) -> Returned:
    def add() -> Any: ...

    add.__annotations__["return"] = annotation
    return Returned.of(add)


@pytest.mark.parametrize(("annotation", "value", "expected"), FITS, ids=lambda v: str(v)[:40])
def test_a_result_comes_back_as_annotated(annotation: Any, value: Any, expected: Any) -> None:
    found = result(annotation).from_wire(result(annotation).to_wire(value))
    assert found == expected


@given(wire_values)
def test_a_result_without_annotation_comes_back_as_it_is(value: Any) -> None:
    def add() -> Any:
        return None

    del add.__annotations__["return"]

    returned = Returned.of(add)
    assert returned.from_wire(returned.to_wire(value)) == value


def test_a_result_that_does_not_fit_its_annotation_is_not_lost() -> None:
    assert result(int).from_wire(result(int).to_wire("text")) == "text"
    assert result(Mixed).from_wire(1) == 1


def test_a_result_that_cannot_travel_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"the value that add\(\) returned: \[1\]: object cannot travel"):
        result(Any).to_wire([1, object()])
