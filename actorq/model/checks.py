"""Checks that several kinds of options share; each raises ConfigError naming what was given, and what to write."""

from __future__ import annotations

from actorq.errors import ConfigError


def whole(value: object, what: str, least: int) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise ConfigError(f"{what} is {value!r}: use a whole number, {least} or more")


def choice(value: object, choices: tuple[object, ...], what: str) -> object:
    """One of ``choices``."""
    if any(value is each or (isinstance(value, str) and value == each) for each in choices):
        return value
    raise ConfigError(f"{what} is {value!r}: use {' or '.join(map(str, choices))}")
