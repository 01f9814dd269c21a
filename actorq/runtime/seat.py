"""What a supervisor and a child have of each other: the child as something to run, the seat that it is run with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from actorq.core.restarting import NO_PATIENCE, Patience, Setback
from actorq.core.supervision import CLEANUP
from actorq.model.supervision import ROOT, ChildSpec

if TYPE_CHECKING:
    from actorq.runtime.supervise import Supervisor


class Seat:
    """What a child has of its supervisor, for one incarnation.

    ``path`` is its place, as ``root/billing/charge``; ``stopping`` is set when it is to end in order; ``ready`` is
    called when it says that it has started.
    """

    def __init__(
        self, path: str = ROOT, *, patience: Patience = NO_PATIENCE, ready: Callable[[], None] = lambda: None
    ) -> None:
        self.path: str = path
        self.stopping: anyio.Event = anyio.Event()
        self._patience = patience
        self._ready = ready
        self._since: float | None = None
        self._setback: Setback | None = None

    def started(self) -> None:
        """Say that the child is up: its next sibling may start."""
        if self._since is None:
            self._since = anyio.current_time()
            self._ready()

    @property
    def up(self) -> bool:
        """Whether it has said so."""
        return self._since is not None

    @property
    def setback(self) -> Setback:
        """What it leads to that this incarnation fails now. The first look fixes it."""
        if self._setback is None:
            self._setback = self._patience.after(None if self._since is None else anyio.current_time() - self._since)
        return self._setback

    @property
    def backoff(self) -> float:
        """Seconds that a restart will wait. Look when the incarnation has failed: the first look fixes it."""
        return self.setback.delay


@dataclass(frozen=True, slots=True)
class Child:
    """A child: ``run`` is awaited once for each incarnation, and calls ``seat.started()`` when it is up.

    To return is a normal end (before ``started()`` a failure), to raise an Exception a failure. ``supervisor`` is the
    one that ``run`` runs, if any.
    """

    spec: ChildSpec
    run: Callable[[Seat], Awaitable[None]]
    supervisor: Supervisor | None = None

    @property
    def longest_stop(self) -> float:
        """Seconds that it has to end when asked: a supervisor at least as long as its children may take together."""
        below = self.supervisor.children.values() if self.supervisor is not None else ()
        return max(self.spec.stop_timeout, sum(child.longest_stop + CLEANUP for child in below))
