"""Calls against a handler's signature, and results (A-4)."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any, Never, ParamSpec

import pytest
from hypothesis import given

from actorq.core.convert import Returned
from actorq.errors import InvalidArguments, UsageError
from tests.core.handlers import Context, of, result, taking, through
from tests.core.strategies import text_maps, wire_tuples, wire_values

P = ParamSpec("P")


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


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
        advice = "" if text.startswith("argument ") else f"; it takes {of(handler)}"
        assert str(caught.value) == f"add() {text}{advice}"


def test_what_the_caller_gave_is_what_is_sent() -> None:
    """Defaults are the handler's: a newer one may have others."""
    assert of(plain).bind((1,), {}) == ((1,), {})
    assert of(plain).bind((), {"a": 1}) == ((), {"a": 1})
    assert of(positional).bind((1,), {"a": 5}) == ((1,), {"a": 5})
    assert through(of(keywords), a=1) == ((), {"a": 1})
    assert through(of(variadic), 1, 2, 3, x=1) == ((1, 2, 3), {"x": 1.0})


def test_keywords_travel_as_plain_text() -> None:
    """As a caller has them who keeps the names of his columns in a StrEnum."""

    class Column(enum.StrEnum):
        A = "a"

    for handler in (plain, keywords):
        assert through(of(handler), **{Column.A: 1}) == ((), {"a": 1})


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


def test_a_forwarding_decorator_takes_anything() -> None:
    def forwarding(handler: Callable[P, int]) -> Callable[P, int]:
        def forward(*args: P.args, **kwargs: P.kwargs) -> int:
            return handler(*args, **kwargs)

        return forward

    def add(a: int) -> int:
        return a

    assert through(of(forwarding(add)), 1, a=(2,)) == ((1,), {"a": (2,)})


def test_the_text_for_the_register() -> None:
    def add(a: int, /, ctx: Context, b: list[str], c: str = "secret", **named: Any) -> Mixed:
        return Mixed.ONE

    name = f"{__name__}.Mixed"
    assert str(of(add)) == f"(a: int, /, b: list[str], c: str = ..., **named: Any) -> {name}"
    assert str(of(plain)) == "(a: int, b: str = ...) -> None"


# ---- results


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
    with pytest.raises(TypeError, match=r"^the result of add\(\)\[1\]: object cannot travel"):
        result(Any).to_wire([1, object()])
