"""Values as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def spell_seconds(seconds: float) -> str:
    """Seconds as people write them: ``1h30m``, ``250ms``."""
    left, text = round(seconds * 1_000), ""
    if left / 1_000 != seconds or not left:
        return f"{seconds:g}s"
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, left = divmod(left, length)
        text += f"{count}{unit}" if count else ""
    return text


def spell_size(count: int) -> str:
    """Bytes as people write them: ``512MiB``."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power}{unit}"
    return f"{count}B" if count else "0"


def spell_list(items: Sequence[Any]) -> str:
    """A list on one line."""
    return ", ".join(map(str, items)) if items else "none"


def masked(url: str) -> str:
    """A URL without user, password or token."""
    return re.sub(r"(^|//|,)[^/@,]+@", r"\1***@", url)


def spell_servers(urls: Sequence[str]) -> str:
    """URLs on one line, without their secrets."""
    return spell_list([masked(url) for url in urls])
