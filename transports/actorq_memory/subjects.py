"""Subjects and filters as text: dot-separated tokens, ``*`` in a filter standing for exactly one."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)+\Z")


def is_plain(subject: str) -> bool:
    """Whether a message can have this subject: at least two tokens, none empty, no wildcard."""
    return _PLAIN.match(subject) is not None


def last_token(subject: str) -> str:
    return subject.rpartition(".")[2]


def matches(pattern: str, subject: str) -> bool:
    """Whether ``subject`` is one of those that ``pattern`` stands for."""
    # Most pairs differ before the first star, and this is asked of every consumer for every message.
    if not subject.startswith(pattern.partition("*")[0]):
        return False
    wanted, given = pattern.split("."), subject.split(".")
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def overlap(one: str, other: str) -> bool:
    """Whether some subject matches both filters."""
    left, right = one.split("."), other.split(".")
    return len(left) == len(right) and all(a == b or "*" in (a, b) for a, b in zip(left, right, strict=True))
