"""Durations, sizes and rates as people write them, normalised once at the edge."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta

from actorq.errors import ConfigError

Duration = float | int | str | timedelta
"""Seconds, a timedelta, or text such as ``"250ms"``, ``"30s"``, ``"1h30m"``."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile("".join(rf"(?:{_NUMBER}{unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")), re.ASCII)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_SECONDS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_SIZE = re.compile(rf"{_NUMBER} ?([kKMGT]?)(i?)B", re.ASCII)
_RATE = re.compile(rf"{_NUMBER}/(\d*(?:ms|s|m|h|d))", re.ASCII)
_PLAIN = re.compile(_NUMBER, re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` events in each ``per`` seconds."""

    count: float
    per: float

    @property
    def per_second(self) -> float:
        return self.count / self.per

    def __str__(self) -> str:
        unit = next((unit for unit, seconds in _UNITS.items() if seconds == self.per), f"{self.per:g}s")
        count = int(self.count) if self.count == int(self.count) else self.count
        return f"{count}/{unit}"


def duration(value: object, what: str) -> float:
    """Seconds, from a number, a timedelta or text: ``"250ms"``, ``"30s"``, ``"5m"``, ``"1h30m"``, ``"2d"``, ``"45"``.

    Raises ConfigError naming ``what`` for anything else, and for what is negative or not finite.
    """
    seconds = _seconds(value)
    if seconds is None or not math.isfinite(seconds):
        raise _refuse(value, what, "a duration", 'write seconds, or text such as "30s" or "1h30m"')
    if seconds < 0:
        raise _refuse(value, what, "a duration", "it must not be negative")
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        text = value.strip()
        if _PLAIN.fullmatch(text):
            return float(text)
        found = _DURATION.fullmatch(text)
        if found is None or not text:
            return None
        return sum(float(part) * unit for part, unit in zip(found.groups(), _SECONDS, strict=True) if part)
    return _number(value)


def size(value: object, what: str) -> int:
    """Bytes, from a whole number or text: ``"512KiB"``, ``"1.5MiB"`` (of 1024), ``"10MB"`` (of 1000), ``"100B"``.

    Raises ConfigError naming ``what`` for anything else.
    """
    number = _number(value)
    if isinstance(value, str):
        text = value.strip()
        found = _SIZE.fullmatch(text)
        if found and (found[2] or not found[3]):
            number = float(found[1]) * (1024.0 if found[3] else 1000.0) ** " KMGT".index(found[2].upper() or " ")
        elif _PLAIN.fullmatch(text):
            number = float(text)
    if number is None or not math.isfinite(number) or number < 0 or number != int(number):
        raise _refuse(value, what, "a size", 'write bytes, or text such as "512KiB"')
    return int(number)


def rate(value: object, what: str) -> Rate:
    """A rate from text: ``"10/s"``, ``"100/m"``, ``"5/10s"``. Raises ConfigError naming ``what`` for anything else."""
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        count, per = float(found[1]), _seconds(found[2] if found[2][0].isdigit() else f"1{found[2]}")
        if per and 0 < count < math.inf and math.isfinite(per):
            return Rate(count, per)
    number = re.match(_NUMBER, value.strip(), re.ASCII) if isinstance(value, str) else None
    some = number is not None and float(number[0]) > 0
    raise _refuse(value, what, "a rate", f'write "{number[0] if number and some else 10}/s"')


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _refuse(value: object, what: str, kind: str, hint: str) -> ConfigError:
    given = f'"{value}"' if isinstance(value, str) else repr(value)
    return ConfigError(f"{what}: {given} is not {kind}; {hint}")
