"""Handlers' parameters and results, made for one test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorq.core.codec import decode_envelope, encode_envelope
from actorq.core.convert import Parameters, Returned
from actorq.model.envelope import Envelope


class Context:
    """Stands for the real one."""


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


def result(annotation: Any) -> Returned:
    def add() -> Any:
        return None

    add.__annotations__["return"] = annotation
    return Returned.of(add)
