"""The kinds of values that a configuration has: how each is read, written and described to other programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeGuard

from actorq.config.problems import quoted
from actorq.config.writing import spell_list, spell_seconds, spell_servers, spell_size
from actorq.core.spelling import nearest
from actorq.errors import UsageError
from actorq.model.address import NAME_RULE, Namespace, token
from actorq.model.checks import whole
from actorq.model.durations import duration, rate, size
from actorq.model.retry import Retry

Schema = Mapping[str, Any]
VARIABLE: Schema = {"type": "string", "pattern": r"\$\{"}
"""In place of anything that is not text."""

NO_ELEMENTS: Mapping[int, str] = MappingProxyType({})


class Unfit(Exception):
    """A value is not of its kind. ``elements``: what is wrong with which elements of a list, if that is the reason."""

    def __init__(self, text: str, elements: Mapping[int, str] = NO_ELEMENTS) -> None:
        super().__init__(text)
        self.elements = elements


@dataclass(frozen=True, slots=True)
class Kind:
    """``name``: for the reader. ``read`` turns what a file has into the value inside; it raises Unfit.

    ``parse`` turns the text of a variable into what a file would have; ``spell`` writes a value as a file would.
    """

    name: str
    read: Callable[[Any], Any]
    schema: Schema
    parse: Callable[[str], Any] = str
    spell: Callable[[Any], str] = str


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """As TOML has it."""
    return isinstance(value, list)


def is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    """As TOML has it."""
    return isinstance(value, dict)


def _checked(check: Callable[[Any, str], Any]) -> Callable[[Any], Any]:
    """A reader from one of the functions that declarations are checked with; those name what they refuse."""

    def read(value: Any) -> Any:
        try:
            return check(value, "")
        except UsageError as error:
            raise Unfit(str(error).removeprefix(": ")) from None

    return read


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


RATE = Kind("rate", _checked(rate), _ref("rate"))
SIZE = Kind("size", _checked(size), _ref("size"), spell=spell_size)


def a_duration(least: float = 0.0) -> Kind:
    """A time, in seconds inside; at least ``least``."""
    read = _checked(duration)

    def bounded(value: Any) -> float:
        seconds: float = read(value)
        if seconds < least:
            raise Unfit(f"{quoted(value)} is too short; write {spell_seconds(least)} or more")
        return seconds

    return Kind("duration", bounded, _ref("duration"), spell=spell_seconds)


def a_whole(least: int = 0, most: int | None = None) -> Kind:
    """A whole number."""
    allowed = f"{least} or more" if most is None else f"{least} to {most}" if most > least else str(least)

    def read(value: Any) -> int:
        try:
            number = whole(value, "", least)
        except UsageError:
            number = None
        if number is None or (most is not None and number > most):
            raise Unfit(f"{quoted(value)} is not allowed; write a whole number, {allowed}")
        return number

    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return Kind(f"whole number, {allowed}", read, {"anyOf": [{"type": "integer", **bounds}, VARIABLE]}, _number)


def a_number(least: float, most: float = sys.float_info.max) -> Kind:
    """A number that need not be whole."""
    unbounded = most == sys.float_info.max
    allowed = f"{least:g} or more" if unbounded else f"{least:g} to {most:g}"

    def read(value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return float(value)
        raise Unfit(f"{quoted(value)} is not allowed; write a number, {allowed}")

    bounds = {"minimum": least} | ({} if unbounded else {"maximum": most})
    return Kind(
        f"number, {allowed}",
        read,
        {"anyOf": [{"type": "number", **bounds}, VARIABLE]},
        _number,
        lambda number: f"{number:g}",
    )


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _plain(text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), _number(text))


def _text(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    empty = isinstance(value, str)
    raise Unfit(
        "it is empty; write something, or leave it out" if empty else f'{quoted(value)} is not text; write "..."'
    )


def _target(value: Any) -> str:
    module, colon, attribute = value.partition(":") if isinstance(value, str) else ("", "", "")
    if colon and (module.endswith(".py") or "/" in module):
        dotted = module.removesuffix(".py").strip("./").replace("/", ".")
        raise Unfit(f'{quoted(value)} names a file, not a module; write "{dotted}:{attribute}"')
    if all(part.isidentifier() for name in (module, attribute) for part in name.split(".")) and colon:
        return str(value)
    raise Unfit(f'{quoted(value)} does not name a system; write MODULE:SYSTEM, such as "shop.tasks:system"')


def _name(value: Any) -> str:
    try:
        return token(value, "")
    except UsageError:
        raise Unfit(f"{quoted(value)} is not a name; use {NAME_RULE}") from None


def _namespace(value: Any) -> str:
    name = _name(value)
    try:
        Namespace.of(name)
    except UsageError as error:
        raise Unfit(str(error).partition(" ")[2]) from None
    return name


def _queue(value: Any) -> str:
    if value == "*":
        return "*"
    try:
        return token(value, "")
    except UsageError:
        raise Unfit(f'{quoted(value)} is not the name of a queue; use {NAME_RULE}, or "*" for all') from None


def _exception(value: Any) -> str:
    try:
        Retry(no_retry=(value,))
    except UsageError:
        raise Unfit(
            f'{quoted(value)} is not the name of an exception; write it in full, such as "shop.db.PoolBroken"'
        ) from None
    return str(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Unfit(f"{quoted(value)} is not true or false; write one of them, without quotes")


def _spoken(text: str) -> object:
    if text.lower() in ("true", "yes", "on", "1"):
        return True
    return False if text.lower() in ("false", "no", "off", "0") else text


TEXT = Kind("text", _text, {"type": "string", "minLength": 1})
TARGET = Kind("MODULE:SYSTEM", _target, {"type": "string"})
NAME = Kind("name", _name, {"anyOf": [_ref("name"), VARIABLE]})
NAMESPACE = Kind("name", _namespace, {"anyOf": [_ref("name"), VARIABLE]})
FLAG = Kind("true or false", _flag, {"anyOf": [{"type": "boolean"}, VARIABLE]}, _spoken, quoted)


def a_choice(*choices: str) -> Kind:
    """One of some words."""

    def read(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        meant = nearest(str(value), choices)
        tip = f'did you mean "{meant}"?' if meant else "write one of them"
        raise Unfit(f"{quoted(value)} is not one of {', '.join(choices)}; {tip}")

    *most, last = (f"`{choice}`" for choice in choices)
    return Kind(f"{', '.join(most)} or {last}", read, {"anyOf": [{"enum": [*choices]}, VARIABLE]})


def _listed(kind: str, read_one: Callable[[Any], Any], one: Schema, *, alone: bool = False, least: str = "") -> Kind:
    """A list, each element checked by itself. ``alone``: a single one may stand without brackets.

    ``least``: what to write where none would mean nothing.
    """

    def read(value: Any) -> tuple[Any, ...]:
        if alone and isinstance(value, str):
            value = [value]
        if not is_list(value):
            raise Unfit(f"{quoted(value)} is not a list; write [{quoted(value) if isinstance(value, str) else '...'}]")
        items: list[Any] = []
        wrong: dict[int, str] = {}
        for index, item in enumerate(value):
            try:
                items.append(read_one(item))
            except Unfit as error:
                wrong[index] = str(error)
        if wrong:
            raise Unfit("; ".join(wrong.values()), wrong)
        if least and not items:
            raise Unfit(f"[] names none; write [{least}], or leave it out")
        return tuple(items)

    schema = {"type": "array", "items": one}
    return Kind(f"list of {kind}", read, {"anyOf": [schema, VARIABLE, *([one] if alone else [])]}, _split, spell_list)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


CHILDREN = _listed("names", _text, {"type": "string"})
QUEUES = _listed("queues", _queue, {"type": "string"}, least='"*"')
NO_QUEUES = _listed("queues", _queue, {"type": "string"})
EXCEPTIONS = _listed("exceptions", _exception, {"type": "string"})
FILES = _listed("files", _text, {"type": "string"}, alone=True)
SERVERS = replace(_listed("URLs", _text, {"type": "string"}, alone=True), spell=spell_servers)
ANYTHING = _listed("values", lambda value: value, {})


def _table(value: Any) -> dict[str, Any]:
    if is_table(value):
        return value
    raise Unfit(f"{quoted(value)} is not a table; write {{ key = value }}")


TABLE = Kind("table", _table, {"type": "object"}, spell=lambda table: f"{len(table)} keys")


def optional(kind: Kind) -> Kind:
    """The same, or ``"none"``: None inside."""
    return Kind(
        f'{kind.name}, or "none"',
        lambda value: None if value == "none" else kind.read(value),
        {"anyOf": [kind.schema, {"const": "none"}]},
        kind.parse,
        lambda value: "none" if value is None else kind.spell(value),
    )


def not_yet(until_then: object) -> Kind:
    """An option of a later version: only the value that it has until then."""
    written = "none" if until_then is None else until_then

    def read(value: Any) -> object:
        if type(value) is type(written) and value == written:
            return until_then
        raise Unfit("not available in this version; leave it out")

    return Kind("for a later version", read, {"const": written}, _plain)
