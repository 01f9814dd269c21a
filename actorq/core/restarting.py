"""How often a child is restarted, and how long it waits before (semantics G-4, G-6, G-7): figures in, figures out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actorq.model.supervision import Backoff, SupervisorSpec

_STEPS = 64


def pause(backoff: Backoff, failures: int) -> float:
    """Seconds before the restart of a child that has been restarted ``failures`` times in a row; without jitter."""
    try:
        return min(backoff.max, backoff.initial * backoff.factor**failures)
    except OverflowError:
        return backoff.max


@dataclass(frozen=True, slots=True)
class Setback:
    """What the failure of an incarnation leads to: ``delay`` seconds, and whether it had ``rested`` (G-6's reset)."""

    delay: float = 0.0
    rested: bool = False


NO_SETBACK = Setback()


@dataclass(frozen=True, slots=True)
class Patience:
    """What a restart after this incarnation will wait, settled before it runs.

    ``soon``: seconds if it fails before it stayed up ``rest`` seconds; ``first``: seconds from then on.
    """

    soon: float = 0.0
    first: float = 0.0
    rest: float = 0.0

    def after(self, up: float | None) -> Setback:
        """If it fails after having been ready for ``up`` seconds, or (None) without having been ready."""
        rested = up is not None and up >= self.rest
        return Setback(self.first if rested else self.soon, rested)


NO_PATIENCE = Patience()


def patience(backoff: Backoff, failures: int, draw: float) -> Patience:
    """For a child restarted ``failures`` times in a row; ``draw``: a random number from 0 up to 1, for the jitter."""
    stretch = 1 + backoff.jitter * (2 * draw - 1)
    rest = (backoff.initial + backoff.max) / 2
    return Patience(pause(backoff, failures) * stretch, pause(backoff, 0) * stretch, rest)


def counted(restarts: Iterable[float], now: float, within: float) -> tuple[float, ...]:
    """The restarts that count, one at ``now`` included: a window that slides and includes both its ends.

    Source: OTP, ``supervisor:add_restart``.
    """
    return (*(at for at in restarts if at >= now - within), now)


def never_gives_up(spec: SupervisorSpec) -> str | None:
    """A warning, if a child that always fails at once is restarted for ever; else None (G-7)."""
    steps = min(spec.max_restarts, _STEPS)
    total = sum(pause(spec.backoff, n) for n in range(steps))
    total += (spec.max_restarts - steps) * pause(spec.backoff, _STEPS)
    if total <= spec.within:
        return None
    return (
        f"a child that always fails is restarted for ever: {spec.max_restarts} restarts wait {total:g} s together, "
        f"more than within = {spec.within:g} s; raise within, or lower max_restarts or the backoff"
    )
