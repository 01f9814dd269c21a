"""A task's arguments as words of the shell: JSON where they are that, text where the actor takes text."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actorq.cli.exits import USAGE, Exit
from actorq.core.annotations import Misfit, Slot
from actorq.core.convert import Call
from actorq.runtime.target import Method


@dataclass(frozen=True, slots=True)
class Texts:
    """The words of one call."""

    args: tuple[str, ...]
    kwargs: Mapping[str, str]

    @classmethod
    def of(cls, args: Sequence[str], pairs: Sequence[str]) -> Texts:
        """``pairs``: NAME=VALUE each. Raises Exit for what is not."""
        return cls(tuple(args), dict(_pair(text) for text in pairs))

    def values(self) -> Call:
        """What they stand for where the actor is not known."""
        return tuple(value(text) for text in self.args), {name: value(text) for name, text in self.kwargs.items()}

    def fitting(self, method: Method) -> Call:
        """The same for what is known to take them. What fits no way is left for it to refuse."""
        signature = inspect.signature(method.function, eval_str=True)
        given = [p for p in signature.parameters.values() if p.name != method.parameters.context]
        try:
            bound = signature.replace(parameters=given).bind_partial(*self.args, **self.kwargs)
        except TypeError:
            return self.values()
        for parameter in given:
            if parameter.name not in bound.arguments:
                continue
            kind, word = parameter.annotation, bound.arguments[parameter.name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                found: Any = tuple(fitted(text, kind) for text in word)
            elif parameter.kind is parameter.VAR_KEYWORD:
                found = {name: fitted(text, kind) for name, text in word.items()}
            else:
                found = fitted(word, kind)
            bound.arguments[parameter.name] = found
        return bound.args, bound.kwargs


def value(text: str) -> Any:
    """JSON if it is that, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def fitted(text: str, annotation: Any) -> Any:
    """The JSON value, but the text itself where only that is what ``annotation`` asks for."""
    parsed, slot = value(text), Slot("argument", annotation)
    return text if not _fits(slot, parsed) and _fits(slot, text) else parsed


def _fits(slot: Slot, argument: Any) -> bool:
    try:
        slot.to_wire(argument)
    except Misfit:
        return False
    return True


def _pair(text: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not (equals and name.isidentifier()):
        raise Exit(USAGE, f"--kw {text!r} is not NAME=VALUE: write for example --kw size=128")
    return name, rest
