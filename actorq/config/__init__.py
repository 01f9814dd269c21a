"""The configuration: files and environment become typed values, all problems at once, each with its place.

Knows no event loop, no broker and no system: what the program declares is handed in.
"""

from actorq.config.config import Config, Declared
from actorq.config.plan import Plan, Report, examine, settle, sound
from actorq.config.reading import Draft, read
from actorq.config.reload import Added, Changes, Refusal, changes

__all__ = [
    "Added", "Changes", "Config", "Declared", "Draft", "Plan", "Refusal", "Report", "changes", "examine", "read",
    "settle", "sound",
]  # fmt: skip
