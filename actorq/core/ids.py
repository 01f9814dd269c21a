"""Task ids (semantics B-1, C-2): ``{time}{random or hash}-{origin}``, sortable by time, routable by origin."""

from __future__ import annotations

import hashlib
import re

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [one + other for one in _DIGITS for other in _DIGITS]
_TIME, _TAIL, _ORIGIN = 9, 13, 6
TAIL_BITS = _TAIL * 5
USER_ORIGIN = "_"
_MADE = re.compile(r"[0-9a-v]{22}-([0-9a-v]{6})(?:-(u[0-9a-v]{1,26}))?\Z")


def _base32(number: int, length: int) -> str:
    text = ""
    while length > 1:
        text = _PAIRS[number & 1023] + text
        number >>= 10
        length -= 2
    return _DIGITS[number & 31] + text if length else text


def _hash(text: str, length: int) -> str:
    return _base32(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big"), length)


def make_id(now: float, entropy: int, origin: str) -> str:
    """A fresh id. ``now``: seconds since the epoch; ``entropy``: ``TAIL_BITS`` random bits."""
    return f"{_base32(int(now * 1000), _TIME)}{_base32(entropy, _TAIL)}-{origin}"


def derive_id(parent: str, path: str, origin: str) -> str:
    """The id of what ``parent`` causes at ``path``: the same at every execution; ``origin`` is its root's."""
    time = parent[:_TIME] if _MADE.match(parent) else "0" * _TIME
    return f"{time}{_hash(f'{parent}|{path}', _TAIL)}-{origin}"


def make_origin(name: str) -> str:
    """The origin of a connection that was given a name."""
    return _hash(name, _ORIGIN)


def random_origin(entropy: int) -> str:
    """The origin of a nameless connection, from 30 random bits."""
    return _base32(entropy, _ORIGIN)


def origin_of(task_id: str) -> str:
    """Who waits for this task: the origin in an id made here, ``_`` for an id given by the user."""
    made = _MADE.match(task_id)
    return made[1] if made else USER_ORIGIN


def key_of(task_id: str) -> str:
    """Last token of the task's subject: the id itself, or ``u`` + hash for a unique task."""
    made = _MADE.match(task_id)
    return made[2] if made and made[2] else task_id


def made_at(task_id: str) -> float | None:
    """When an id was made (seconds since the epoch), None for an id given by the user."""
    if not _MADE.match(task_id):
        return None
    value = 0
    for digit in task_id[:_TIME]:
        value = value << 5 | _DIGITS.index(digit)
    return value / 1000 or None
