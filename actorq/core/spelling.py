"""Which known word somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = 12


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like it; None where none is."""
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), lowered, n=1)
    return lowered[found[0]] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """``did you mean "x"?``, or what there is."""
    names = list(known)
    meant = nearest(word, names)
    if meant is not None:
        return f'did you mean "{meant}"?'
    more = ", ..." if len(names) > LISTED else ""
    return f"known are {', '.join(names[:LISTED])}{more}" if names else "there are none"
