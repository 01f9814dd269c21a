"""The pages of the documentation and their fenced blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "transports/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block. ``info``: what follows the language; ``line``: where its first line stands in the page."""

    language: str
    info: str
    text: str
    line: int


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of one language, in their order."""
    text = page.read_text()
    found = [
        Block(match[1], match[2].strip(), match[3], text.count("\n", 0, match.start(3)) + 1)
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if block.language == language]
