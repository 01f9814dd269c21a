"""One child of a supervisor (semantics G): the phases of its life, and every move from one to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from actorq.model.supervision import ChildSpec

Phase = Literal["waiting", "starting", "running", "leaving", "asked", "cancelled", "ended", "removed"]

MOVES: Mapping[Phase, Mapping[str, Phase]] = {
    "waiting": {"start": "starting"},
    "starting": {"ready": "running", "leave": "leaving", "end": "ended", "fail": "waiting", "drop": "removed"},
    "running": {"leave": "leaving", "end": "ended", "fail": "waiting"},
    "leaving": {"ask": "asked"},  # it is to stop; those after it may come first
    "asked": {"time out": "cancelled"},
    "cancelled": {},
    "ended": {"revive": "waiting"},
}
"""From a phase by a move to the next. Out of ``leaving``, ``asked`` and ``cancelled`` a child goes to its ``then``;
what is stopped while it has nothing to stop is there at once."""

_STOPPING = frozenset({"leaving", "asked", "cancelled"})
_LIVE = _STOPPING | {"starting", "running"}


@dataclass(frozen=True, slots=True)
class ChildState:
    """One child. ``generation``: its present or last incarnation, 0 before the first.

    ``fresh``: it was never ready. ``failures``: restarts since it last stayed up. ``due``: it is not started before.
    ``deadline``: until when its stop may take. ``then``: where its stop leads. ``since``: when it became ready.
    """

    spec: ChildSpec
    phase: Phase = "waiting"
    generation: int = 0
    fresh: bool = True
    failures: int = 0
    restarts: int = 0
    due: float = -math.inf
    deadline: float = math.inf
    then: Phase = "waiting"
    since: float | None = None
    error: Exception | None = None

    @property
    def live(self) -> bool:
        """Whether an incarnation of it may be running."""
        return self.phase in _LIVE

    @property
    def stopping(self) -> bool:
        """Whether it has been, or is to be, asked to end."""
        return self.phase in _STOPPING

    def moved(self, move: str, **changes: Any) -> ChildState:
        """After a move of the table, with what changes besides."""
        return replace(self, phase=MOVES[self.phase][move], **changes)

    def leaving(self, then: Phase) -> ChildState:
        """Being stopped; a child that has nothing to stop goes to ``then`` at once."""
        if self.phase in ("starting", "running"):
            return self.moved("leave", then=then)
        return replace(self, then=then) if self.stopping else replace(self, phase=then)

    def taken_along(self) -> ChildState:
        """As a bystander of a restart: what runs is stopped and, unless it is temporary, started again (G-3)."""
        if self.phase in ("starting", "running"):
            return self.moved("leave", then="ended" if self.spec.restart == "temporary" else "waiting")
        return self

    def stopped(self) -> ChildState:
        """Its stop is over."""
        fresh = self.fresh and self.then == "waiting"
        return replace(self, phase=self.then, then="waiting", fresh=fresh, deadline=math.inf, since=None)
