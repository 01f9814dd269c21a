"""Subjects and filters as text: dot-separated tokens, ``*`` in a filter standing for exactly one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_PLAIN = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)+\Z")


def is_plain(subject: str) -> bool:
    """Whether a message can have this subject: at least two tokens, none empty, no wildcard."""
    return _PLAIN.match(subject) is not None


def split(subject: str) -> tuple[str, str]:
    """Everything before the last token, and the last token."""
    head, _, last = subject.rpartition(".")
    return head, last


def matches(pattern: str, subject: str) -> bool:
    """Whether ``subject`` is one of those that ``pattern`` stands for."""
    wanted, given = pattern.split("."), subject.split(".")
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def overlap(one: str, other: str) -> bool:
    """Whether some subject matches both filters."""
    left, right = one.split("."), other.split(".")
    return len(left) == len(right) and all(a == b or "*" in (a, b) for a, b in zip(left, right, strict=True))


class FilterIndex(Generic[T]):
    """Things kept under filters, found by subject without trying every filter.

    Most filters name everything but the last token, so these are found by that part; the others are tried in turn.
    """

    def __init__(self) -> None:
        self._named: dict[str, dict[str, dict[T, None]]] = {}
        self._open: dict[T, str] = {}

    def add(self, pattern: str, item: T) -> None:
        head, last = split(pattern)
        if "*" in head:
            self._open[item] = pattern
        else:
            self._named.setdefault(head, {}).setdefault(last, {})[item] = None

    def remove(self, pattern: str, item: T) -> None:
        """Forget ``item``; nothing happens where it is not known."""
        self._open.pop(item, None)
        head, last = split(pattern)
        lasts = self._named.get(head, {})
        items = lasts.get(last, {})
        items.pop(item, None)
        if last in lasts and not items:
            del lasts[last]
        if head in self._named and not lasts:
            del self._named[head]

    def find(self, subject: str) -> Iterator[T]:
        """All whose filter matches."""
        head, last = split(subject)
        lasts = self._named.get(head, {})
        yield from tuple(lasts.get(last, ()))
        yield from tuple(lasts.get("*", ()))
        for item, pattern in tuple(self._open.items()):
            if matches(pattern, subject):
                yield item
