"""Calls and results between a handler's own types and wire values (semantics A-4).

A handler is looked at once, when it is declared. A call by position with values of exactly the declared plain types
then costs a comparison for each; anything else is matched to the parameters and converted one by one.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from actorq.core.annotations import Misfit, Slot, is_union
from actorq.core.values import to_wire
from actorq.errors import InvalidArguments, UsageError

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_text = str.__str__  # of a keyword that is, say, a StrEnum's member
Call = tuple[tuple[Any, ...], dict[str, Any]]


class Parameters:
    """The parameters of one handler, without the one that receives the Context.

    ``context`` is that one's name, None without it. ``str()`` is the signature as the register shows it.
    """

    __slots__ = (
        "_ahead",
        "_enough",
        "_keywords",
        "_name",
        "_named",
        "_names",
        "_passes",
        "_placed",
        "_required",
        "_rest",
        "_shown",
        "context",
    )

    def __init__(self, name: str, signature: inspect.Signature, slots: Mapping[str, Slot], context: str | None) -> None:
        """Use ``Parameters.of``."""
        given = [p for p in signature.parameters.values() if p.name != context]
        placed = [p for p in given if p.kind in _BY_POSITION]
        self.context: str | None = context
        self._name = name
        self._shown = _shown(signature, given)
        self._ahead = None if context is None else _ahead(name, signature, context)
        self._names = [p.name for p in placed]
        self._placed = [slots[p.name] for p in placed]
        self._passes = [slot.passes for slot in self._placed]
        self._named = {p.name: slots[p.name] for p in given if p.kind in _BY_NAME}
        self._rest = next((slots[p.name] for p in given if p.kind is Parameter.VAR_POSITIONAL), None)
        self._keywords = next((slots[p.name] for p in given if p.kind is Parameter.VAR_KEYWORD), None)
        self._required = [
            p.name for p in given if p.default is Parameter.empty and p.kind in (*_BY_POSITION, Parameter.KEYWORD_ONLY)
        ]
        # With so many positional arguments a call is complete: never, if a keyword is required.
        self._enough = len(self._required) if set(self._required) <= set(self._names) else len(given) + 1

    @classmethod
    def of(cls, handler: Callable[..., Any], *, name: str, context_type: type) -> Parameters:
        """Look at a handler once. Raises UsageError naming the actor and the parameter that cannot be served."""
        hints = _hints(handler, name)
        signature = _resolved(inspect.signature(handler), hints)
        contexts = [p for p in signature.parameters if _is_context(hints.get(p), context_type)]
        if len(contexts) > 1:
            raise UsageError(f"actor {name!r} asks for its Context twice ({', '.join(contexts)}): keep one")
        context = contexts[0] if contexts else None
        slots: dict[str, Slot] = {}
        for parameter in signature.parameters:
            if parameter != context:
                try:
                    slots[parameter] = Slot(parameter, hints.get(parameter, Any))
                except (TypeError, NameError) as error:
                    raise UsageError(
                        f"actor {name!r}: arguments for {parameter!r} cannot be checked: {error}; annotate it otherwise"
                    ) from error
        return cls(name, signature, slots, context)

    def __str__(self) -> str:
        return self._shown

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Check a call; its arguments as wire values, defaults left out.

        Raises InvalidArguments naming the actor and the part that does not fit.
        """
        return (tuple(args), {}) if self._fits(args, kwargs) else self._convert(Slot.to_wire, args, kwargs)

    def rebuild(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Wire values to the handler's own types, placed so that ``context`` can be added by name.

        Raises InvalidArguments naming the actor and the part that does not fit.
        """
        placed: tuple[Any, ...] = tuple(args)
        named: dict[str, Any] = {}
        if not self._fits(args, kwargs):
            placed, named = self._convert(Slot.from_wire, args, kwargs)
        if self._ahead is None or len(args) <= self._ahead:
            return placed, named
        after = zip(self._names[self._ahead :], placed[self._ahead :], strict=False)
        return placed[: self._ahead], {**named, **dict(after)}

    def _fits(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        if kwargs or not self._enough <= len(args) <= len(self._passes):
            return False
        for value, passes in zip(args, self._passes, strict=False):  # noqa: SIM110  all() takes twice as long
            if type(value) not in passes:
                return False
        return True

    def _convert(self, way: Callable[[Slot, Any], Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        if kwargs or not self._enough <= len(args) <= len(self._placed):
            self._check_shape(args, kwargs)
        slots = [*self._placed, *(self._rest for _ in args[len(self._placed) :])]
        try:
            return (
                tuple(way(slot, value) for slot, value in zip(slots, args, strict=False) if slot),
                {_text(n): way(slot, v) for n, v in kwargs.items() if (slot := self._named.get(n, self._keywords))},
            )
        except Misfit as error:
            raise InvalidArguments(f"{self._name}() argument {error}", actor=self._name) from error

    def _check_shape(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        placed = self._names[: len(args)]
        unknown = [n for n in kwargs if n not in self._named and (self._keywords is None or n == self.context)]
        twice = [n for n in kwargs if n in placed and n in self._named]
        missing = [n for n in self._required if n not in placed and not (n in kwargs and n in self._named)]
        if unknown:
            problem = f"got an unexpected keyword argument {unknown[0]!r}"
        elif twice:
            problem = f"got multiple values for argument {twice[0]!r}"
        elif len(args) > len(self._names) and self._rest is None:
            was = "was" if len(args) == 1 else "were"
            problem = f"takes {_counted(len(self._names), 'positional')} but {len(args)} {was} given"
        elif missing:
            problem = f"missing {_counted(len(missing), 'required')}: {' and '.join(map(repr, missing))}"
        else:
            return
        raise InvalidArguments(f"{self._name}() {problem}; it takes {self}", actor=self._name)


class Returned:
    """The result of one handler."""

    __slots__ = ("_slot", "_what")

    def __init__(self, name: str, slot: Slot) -> None:
        self._what = f"the result of {name}()"
        self._slot = slot

    @classmethod
    def of(cls, handler: Callable[..., Any]) -> Returned:
        """Look at a handler once. Raises UsageError if its annotations cannot be resolved."""
        name = getattr(handler, "__name__", "the handler")
        try:
            return cls(name, Slot("value", _hints(handler, name).get("return", Any)))
        except (TypeError, NameError):
            return cls(name, Slot("value", Any))

    def to_wire(self, value: Any) -> Any:
        """The wire value of a result, whatever its annotation says. Raises TypeError for what cannot travel."""
        return to_wire(value, self._what)

    def from_wire(self, wire: Any) -> Any:
        """The result as annotated; one that does not fit is given as it travelled: the work must not be lost."""
        try:
            return self._slot.from_wire(wire)
        except Misfit:
            return wire


def _hints(handler: Callable[..., Any], name: str) -> dict[str, Any]:
    function: Any = handler
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__annotations__"):
        function = type(function).__call__
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise UsageError(
            f"actor {name!r}: its annotations cannot be resolved ({error}): define or import their types in its module,"
            " neither inside a function nor under TYPE_CHECKING"
        ) from error


def _is_context(hint: Any, context_type: type) -> bool:
    return hint is context_type or (is_union(hint) and context_type in typing.get_args(hint))


def _ahead(name: str, signature: inspect.Signature, context: str) -> int | None:
    """How many arguments stay positional: those after the Context go by name, as it does itself. None: all."""
    at = list(signature.parameters).index(context)
    kinds = [p.kind for p in signature.parameters.values()][at:]
    if kinds[0] not in _BY_NAME or (kinds[0] is not Parameter.KEYWORD_ONLY and Parameter.VAR_POSITIONAL in kinds):
        raise UsageError(f"actor {name!r}: its Context must go by name: write `*args, {context}: Context`")
    return None if kinds[0] is Parameter.KEYWORD_ONLY else at


def _resolved(signature: inspect.Signature, hints: Mapping[str, Any]) -> inspect.Signature:
    shown = {name: None if hint is type(None) else hint for name, hint in hints.items()}
    parameters = [p.replace(annotation=shown.get(p.name, p.annotation)) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=shown.get("return", signature.return_annotation))


class _Default:
    """Stands for a default value: the real one may be long, secret or different in every process."""

    def __repr__(self) -> str:
        return "..."


def _shown(signature: inspect.Signature, given: Sequence[Parameter]) -> str:
    parameters = [p if p.default is Parameter.empty else p.replace(default=_Default()) for p in given]
    return str(signature.replace(parameters=parameters))


def _counted(count: int, kind: str) -> str:
    return f"{count} {kind} argument{'' if count == 1 else 's'}"
