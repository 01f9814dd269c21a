"""Arguments and results between a handler's own types and wire values (semantics A-4).

What a handler declares is looked at once, when it is declared. A call whose arguments are exactly of the declared plain
types costs a comparison each; anything else goes through msgspec's strict conversion.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from inspect import Parameter
from typing import Any
from uuid import UUID

import msgspec

from actorq.core.wire import PLAIN, is_model, to_wire
from actorq.errors import InvalidArguments, UsageError

_NATIVE = (bytes, datetime, date, time, timedelta, Decimal, UUID)
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_NOTHING: frozenset[type] = frozenset()


class Misfit(ValueError):
    """A value is not of the annotated type. The text says which part, what was expected and what was found."""


class Slot:
    """One parameter, or the result: what may pass, and how it is rebuilt.

    ``passes``: the types whose instances need neither check nor conversion.
    """

    __slots__ = ("_shapes", "name", "passes")

    def __init__(self, name: str, annotation: Any) -> None:
        self.name = name
        self.passes = _passing(annotation)
        self._shapes = () if self.passes is PLAIN else _shapes(name, annotation)

    def to_wire(self, value: Any) -> Any:
        """The wire value, checked against the annotation. Raises Misfit, or TypeError for what cannot travel."""
        if type(value) in self.passes:
            return value
        try:
            wire = to_wire(value)
        except TypeError as error:
            where, text = str(error).split(": ", 1) if str(error)[0] in "[." else ("", str(error))
            raise Misfit(f"{self.name}{where}: {text}") from None
        self.from_wire(wire)
        return wire

    def from_wire(self, wire: Any) -> Any:
        """The value that the annotation asks for. Raises Misfit."""
        if type(wire) in self.passes or not self._shapes:
            return wire
        if len(self._shapes) == 1:
            return self._fit(self._shapes[0], wire)
        return self._one_of(wire)

    def _fit(self, shape: Any, wire: Any) -> Any:
        try:
            return msgspec.convert({self.name: wire}, shape, builtin_types=_NATIVE, dec_hook=_custom).value
        except msgspec.ValidationError as error:
            text, _, where = str(error).rpartition(" - at ")
            raise Misfit(f"{where.replace('$.', '').replace('`', '')}: {text[:1].lower()}{text[1:]}") from error
        except Exception as error:  # noqa: BLE001  a dataclass's own __post_init__ may raise anything
            raise Misfit(f"{self.name}: {type(error).__qualname__}: {error}") from error

    def _one_of(self, wire: Any) -> Any:
        """The one member of a union that fits; among several the one that the value is of already."""
        found: list[Any] = []
        for shape in self._shapes:
            try:
                found.append(self._fit(shape, wire))
            except Misfit as error:
                last = error
        same = [value for value in found if type(value) is type(wire)] or found
        if len(same) == 1:
            return same[0]
        if not found:
            raise Misfit(f"{last} (nor any other type of the union)")
        raise Misfit(f"{self.name}: several types of the union fit")


def _passing(annotation: Any) -> frozenset[type]:
    if annotation in (Any, object, Parameter.empty) or isinstance(annotation, typing.TypeVar):
        return PLAIN
    members = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    members = tuple(type(None) if member is None else member for member in members)
    if Any in members:
        return PLAIN
    return (
        frozenset(members)
        if all(member in PLAIN for member in members)
        else frozenset(m for m in members if m in PLAIN)
    )


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _shapes(name: str, annotation: Any) -> tuple[Any, ...]:
    """Structs of one field that msgspec converts to: one, or one for each member of a union that it cannot tell apart."""
    shape = _shape(name, annotation)
    try:
        msgspec.convert({}, shape, builtin_types=_NATIVE, dec_hook=_custom)
    except msgspec.ValidationError:
        return (shape,)  # the field is missing, as it should be: the type itself is understood
    except TypeError:
        if not _is_union(annotation):
            raise
    return tuple(shape for member in typing.get_args(annotation) for shape in _shapes(name, member))


def _shape(name: str, annotation: Any) -> Any:
    return msgspec.defstruct("Argument", [("value", annotation)], rename={"value": name})


def _custom(kind: Any, wire: Any) -> Any:
    """A type that msgspec does not know: a pydantic model is built; of anything else the value must be an instance."""
    if is_model(kind):
        return _model(kind, wire)
    origin = typing.get_origin(kind) or kind
    if origin is object or (isinstance(origin, type) and isinstance(wire, origin)):
        return wire
    raise ValueError(f"Expected `{getattr(kind, '__qualname__', kind)}`, got `{type(wire).__qualname__}`")


def _model(kind: Any, wire: Any) -> Any:
    try:
        return kind.model_validate(wire)
    except ValueError as error:
        problems = typing.cast(Any, error).errors(include_input=False, include_url=False, include_context=False)
        parts = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
        raise ValueError("; ".join(parts)) from None


class Parameters:
    """The parameters of one handler, without the one that receives the Context.

    ``context`` is that one's name, None without it. ``str()`` is the signature as the register shows it.
    """

    __slots__ = (
        "_ahead", "_by_name", "_keywords", "_least", "_name", "_passes", "_positional", "_required", "_rest",
        "_signature", "context",
    )  # fmt: skip

    def __init__(self, name: str, signature: inspect.Signature, slots: Mapping[str, Slot], context: str | None) -> None:
        given = [p for p in signature.parameters.values() if p.name != context]
        self.context = context
        self._name = name
        self._signature = _shown(signature, given)
        self._positional = [slots[p.name] for p in given if p.kind in _POSITIONAL]
        self._by_name = {
            p.name: slots[p.name] for p in given if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        }
        self._rest = next((slots[p.name] for p in given if p.kind is Parameter.VAR_POSITIONAL), None)
        self._keywords = next((slots[p.name] for p in given if p.kind is Parameter.VAR_KEYWORD), None)
        single = (*_POSITIONAL, Parameter.KEYWORD_ONLY)
        self._required = [p.name for p in given if p.kind in single and p.default is Parameter.empty]
        plain = all(p.kind in _POSITIONAL for p in given if p.default is Parameter.empty)
        # How many positional arguments are certainly enough; more than there are if a keyword is required.
        self._least = len(self._required) if plain else len(given) + 1
        self._passes = [slot.passes for slot in self._positional]
        self._ahead = _ahead(name, signature, context)

    @classmethod
    def of(cls, handler: Callable[..., Any], *, name: str, context_type: type) -> Parameters:
        """Look at a handler once. Raises UsageError naming the actor and the parameter that cannot be served."""
        hints = _hints(handler, name)
        signature = inspect.signature(handler)
        contexts = [p for p in signature.parameters if _asks_for(hints.get(p), context_type)]
        if len(contexts) > 1:
            raise UsageError(f"actor {name!r} asks for a Context twice ({', '.join(contexts)}): keep one")
        context = contexts[0] if contexts else None
        slots: dict[str, Slot] = {}
        for parameter in signature.parameters:
            if parameter != context:
                try:
                    slots[parameter] = Slot(parameter, hints.get(parameter, Any))
                except (TypeError, NameError) as error:
                    raise UsageError(
                        f"actor {name!r}: the annotation of {parameter!r} cannot be checked: {error}; annotate it otherwise"
                    ) from error
        return cls(name, signature, slots, context)

    def __str__(self) -> str:
        return self._signature

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Check a call; its arguments as wire values, defaults left out. Raises InvalidArguments naming actor and part."""
        if self._fast(args, kwargs):
            return tuple(args), {}
        return self._each(Slot.to_wire, args, kwargs)

    def rebuild(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Wire values to the handler's own types, placed so that ``context`` can be given by name.

        Raises InvalidArguments naming actor and part.
        """
        if self._fast(args, kwargs):
            positional, named = tuple(args), {}
        else:
            positional, named = self._each(Slot.from_wire, args, kwargs)
        ahead = self._ahead
        if ahead is None or len(positional) <= ahead:
            return positional, named
        after = (slot.name for slot in self._positional[ahead:])
        return positional[:ahead], {**named, **dict(zip(after, positional[ahead:], strict=False))}

    def _fast(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        if kwargs or not self._least <= len(args) <= len(self._passes):
            return False
        for value, passes in zip(args, self._passes, strict=False):  # noqa: SIM110  twice as fast as all()
            if type(value) not in passes:
                return False
        return True

    def _each(
        self, convert: Callable[[Slot, Any], Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._check_shape(args, kwargs)
        try:
            positional = tuple(convert(self._at(i), value) for i, value in enumerate(args))
            return positional, {name: convert(self._named(name), value) for name, value in kwargs.items()}
        except Misfit as error:
            raise InvalidArguments(f"{self._name}() argument {error}", actor=self._name) from error

    def _at(self, index: int) -> Slot:
        if index < len(self._positional):
            return self._positional[index]
        assert self._rest is not None
        return self._rest

    def _named(self, name: str) -> Slot:
        slot = self._by_name.get(name, self._keywords)
        assert slot is not None
        return slot

    def _check_shape(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        problem = None
        taken = [slot.name for slot in self._positional[: len(args)]]
        missing = [name for name in self._required if name not in taken and name not in kwargs]
        twice = [name for name in kwargs if name in taken and name in self._by_name]
        unknown = [n for n in kwargs if n not in self._by_name and (self._keywords is None or n == self.context)]
        if unknown:
            problem = f"got an unexpected keyword argument {unknown[0]!r}"
        elif twice:
            problem = f"got multiple values for argument {twice[0]!r}"
        elif len(args) > len(self._positional) and self._rest is None:
            problem = f"takes {_counted(len(self._positional))} by position but {len(args)} were given"
        elif missing:
            problem = f"missing {_counted(len(missing), 'required ')}: {' and '.join(map(repr, missing))}"
        if problem is not None:
            raise InvalidArguments(f"{self._name}() {problem}", actor=self._name)


class Returned:
    """The result of one handler."""

    __slots__ = ("_name", "_slot")

    def __init__(self, name: str, slot: Slot) -> None:
        self._name = name
        self._slot = slot

    @classmethod
    def of(cls, handler: Callable[..., Any]) -> Returned:
        """Look at a handler's return annotation once. Raises UsageError if it cannot be resolved."""
        name = getattr(handler, "__name__", "the handler")
        annotation = _hints(handler, name).get("return", Any)
        try:
            return cls(name, Slot("value", annotation))
        except (TypeError, NameError):
            return cls(name, Slot("value", Any))

    def to_wire(self, value: Any) -> Any:
        """The wire value of a result, whatever the annotation says. Raises TypeError for what cannot travel."""
        if type(value) in PLAIN:
            return value
        try:
            return to_wire(value)
        except TypeError as error:
            raise TypeError(f"the value that {self._name}() returned: {error}") from None

    def from_wire(self, wire: Any) -> Any:
        """The result as annotated; one that does not fit its annotation as it travelled: it must not be lost."""
        try:
            return self._slot.from_wire(wire)
        except Misfit:
            return wire


def _hints(handler: Callable[..., Any], name: str) -> dict[str, Any]:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not hasattr(handler, "__annotations__"):
        handler = type(handler).__call__
    try:
        return typing.get_type_hints(handler, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise UsageError(
            f"actor {name!r}: its annotations cannot be resolved ({error}): define and import their types in the"
            " module itself, neither inside a function nor under TYPE_CHECKING"
        ) from error


def _asks_for(hint: Any, context_type: type) -> bool:
    return hint is context_type or (_is_union(hint) and context_type in typing.get_args(hint))


def _ahead(name: str, signature: inspect.Signature, context: str | None) -> int | None:
    """How many arguments may stay positional: those after the Context must go by name, as it does."""
    if context is None:
        return None
    parameters = list(signature.parameters.values())
    index = list(signature.parameters).index(context)
    kind = parameters[index].kind
    follows = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters[index:])
    if (
        kind is Parameter.POSITIONAL_ONLY
        or kind is Parameter.VAR_POSITIONAL
        or kind is Parameter.VAR_KEYWORD
        or follows
    ):
        raise UsageError(
            f"actor {name!r}: its Context goes by name: write `*args, {context}: Context` or `{context}: Context`"
        )
    return None if kind is Parameter.KEYWORD_ONLY else index


def _shown(signature: inspect.Signature, given: Sequence[Parameter]) -> str:
    # Defaults are hidden: they may be long, secret, or different in every process (the register compares this text).
    shown = [p if p.default is Parameter.empty else p.replace(default=_Default()) for p in given]
    return str(signature.replace(parameters=shown))


class _Default:
    def __repr__(self) -> str:
        return "..."


def _counted(count: int, word: str = "") -> str:
    return f"{count} {word}argument{'' if count == 1 else 's'}"
