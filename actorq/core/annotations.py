"""What one annotation admits, and how a wire value becomes what it asks for (semantics A-4).

msgspec converts, strictly: an int is accepted where a float is declared; a list, tuple or set where another of them is
declared; a map for a dataclass, Struct, TypedDict or model; a value for its Enum; nothing else is coerced. A pydantic
model follows its own configuration. For a class that msgspec does not know, such as an abstract one, the value must be
an instance. What has no annotation takes whatever can travel.
"""

from __future__ import annotations

import sys
import types
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from inspect import Parameter
from typing import Any
from uuid import UUID

import msgspec

from actorq.core.values import PLAIN, is_model, text_of, to_wire

_NATIVE = (bytes, datetime, date, time, timedelta, Decimal, UUID)
_ANYTHING: tuple[Any, ...] = (Any, object, Parameter.empty)
_VARIABLES = (typing.TypeVar, typing.ParamSpecArgs, typing.ParamSpecKwargs)


class Misfit(ValueError):
    """A value is not what its annotation asks for. The text says which part, what was expected and what was found."""


class Slot:
    """One parameter, or the result. Instances of the types in ``passes`` need neither check nor conversion.

    Raises TypeError or NameError for an annotation that cannot be understood.
    """

    __slots__ = ("_name", "_shapes", "passes")

    def __init__(self, name: str, annotation: Any) -> None:
        self._name = name
        self.passes: frozenset[type] = _passing(annotation)
        self._shapes = () if self.passes is PLAIN else _shapes(name, annotation)

    def to_wire(self, value: Any) -> Any:
        """The wire value, if the receiver will be able to rebuild it. Raises Misfit."""
        if type(value) in self.passes:
            return value
        try:
            wire = to_wire(value, self._name)
        except TypeError as error:
            raise Misfit(str(error)) from error.__cause__
        self.from_wire(wire)
        return wire

    def from_wire(self, wire: Any) -> Any:
        """What the annotation asks for. Raises Misfit."""
        if type(wire) in self.passes or not self._shapes:
            return wire
        if len(self._shapes) == 1:
            return self._convert(self._shapes[0], wire)
        return self._one_of(wire)

    def _convert(self, shape: Any, wire: Any) -> Any:
        try:
            return msgspec.convert({self._name: wire}, shape, builtin_types=_NATIVE, dec_hook=_custom).value
        except msgspec.ValidationError as error:
            text, _, where = str(error).rpartition(" - at ")
            where = where.replace("$.", "").replace("`", "")
            raise Misfit(f"{where}: {text[:1].lower()}{text[1:]}") from error
        except Exception as error:  # user code: a dataclass's own __post_init__ may raise anything
            raise Misfit(f"{self._name}: {type(error).__qualname__}: {text_of(error)}") from error

    def _one_of(self, wire: Any) -> Any:
        """The member of a union that fits; of several the one that the wire value is of already."""
        found: list[Any] = []
        problems: list[str] = []
        for shape in self._shapes:
            try:
                found.append(self._convert(shape, wire))
            except Misfit as error:
                problems.append(str(error).removeprefix(f"{self._name}: "))
        best = [value for value in found if type(value) is type(wire)] or found
        if len(best) == 1:
            return best[0]
        raise Misfit(f"{self._name}: {'; '.join(problems) if not found else 'several of its types fit: declare one'}")


def _passing(annotation: Any) -> frozenset[type]:
    members = typing.get_args(annotation) if is_union(annotation) else (annotation,)
    if isinstance(annotation, _VARIABLES) or any(member in _ANYTHING for member in members):
        return PLAIN
    kinds = (type(None) if member is None else member for member in members)
    return PLAIN & {kind for kind in kinds if isinstance(kind, type)}


def is_union(annotation: Any) -> bool:
    """Whether an annotation is ``A | B``, ``Union`` or ``Optional``."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _shapes(name: str, annotation: Any) -> tuple[Any, ...]:
    """Structs of one field for msgspec: one, or one for each member of a union that it could not tell apart."""
    shape = msgspec.defstruct("Argument", [("value", annotation)], rename={"value": name})
    try:
        msgspec.convert({}, shape, builtin_types=_NATIVE, dec_hook=_custom)
    except msgspec.ValidationError:
        return (shape,)  # the field is missing, as it must be: the annotation itself is understood
    except TypeError:
        if not is_union(annotation):
            raise
    return tuple(shape for member in typing.get_args(annotation) for shape in _shapes(name, member))


def _custom(kind: Any, wire: Any) -> Any:
    """Called for types that msgspec does not know."""
    if is_model(kind):
        return _model(kind, wire)
    origin = typing.get_origin(kind) or kind
    if isinstance(origin, type) and isinstance(wire, origin):
        return wire
    raise ValueError(f"Expected `{getattr(kind, '__qualname__', kind)}`, got `{type(wire).__qualname__}`")


def _model(kind: Any, wire: Any) -> Any:
    try:
        return kind.model_validate(wire)
    except sys.modules["pydantic"].ValidationError as error:
        # The values themselves stay out of the text: it goes to logs and dead letters.
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        raise ValueError("; ".join(": ".join((*map(str, p["loc"]), p["msg"])) for p in problems)) from None
