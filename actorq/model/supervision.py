"""What a supervisor is told (semantics G): strategy, intensity, backoff and children, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
Restart = Literal["permanent", "transient", "temporary"]
AutoShutdown = Literal["never", "any", "all"]

ROOT = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a child waits before it is started again: seconds, growing by ``factor`` up to ``max``.

    ``jitter``: the part of a delay by which chance may lengthen or shorten it.
    """

    initial: float = 0.1
    factor: float = 2.0
    max: float = 30.0
    jitter: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One child as its supervisor sees it.

    ``restart``: permanent (always), transient (only after a failure) or temporary (never, not even as a bystander).
    ``significant``: its end counts for the supervisor's ``auto_shutdown``. ``stop_timeout``: seconds that it has to
    end by itself when asked.
    """

    name: str
    restart: Restart = "permanent"
    significant: bool = False
    stop_timeout: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """A supervisor. More than ``max_restarts`` restarts within ``within`` seconds: it gives up.

    ``children``: names of actors and supervisors in order of start; None: all that no other supervisor names.
    ``restart``, ``significant`` and ``stop_timeout`` are for its own parent, as in ChildSpec.
    """

    name: str
    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    within: float = 5.0
    backoff: Backoff = Backoff()
    auto_shutdown: AutoShutdown = "never"
    children: tuple[str, ...] | None = None
    restart: Restart = "permanent"
    significant: bool = False
    stop_timeout: float = 5.0
