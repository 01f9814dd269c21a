"""A token bucket as a value with a clock given from outside (semantics H-1): so many starts in so much time."""

from __future__ import annotations

import math

from actorq.model.durations import Rate

_ALMOST = 1e-9  # seconds of rounding that must not cost a token


class Bucket:
    """Holds up to ``burst`` tokens (0: the rate's count, at least 1) and gains ``rate`` of them. Starts full.

    Within any ``t`` seconds at most ``burst + rate * t`` are taken. Times are seconds on any one clock.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: Rate, burst: int, now: float) -> None:
        self.rate: Rate = rate
        self.burst: float = _size(rate, burst)
        self._tokens = self.burst
        self._at = now

    def ready(self, now: float) -> int:
        """How many may be taken at once."""
        self._gain(now)
        return math.floor(self._tokens + self.rate.per_second * _ALMOST)

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        if self.ready(now) < 1:
            return False
        self._tokens = max(0.0, self._tokens - 1)
        return True

    def wait(self, now: float) -> float:
        """Seconds until one may be taken; 0 if that is now."""
        if self.ready(now) >= 1:
            return 0.0
        return (1 - self._tokens) / self.rate.per_second

    def more(self, now: float) -> float:
        """Seconds until more may be taken than now; infinite if that many are all that it holds."""
        next_ = self.ready(now) + 1
        return math.inf if next_ > self.burst else (next_ - self._tokens) / self.rate.per_second

    def change(self, rate: Rate, burst: int, now: float) -> None:
        """Another rate from now on; tokens above the new burst are lost."""
        self._gain(now)
        self.rate, self.burst = rate, _size(rate, burst)
        self._tokens = min(self._tokens, self.burst)

    def _gain(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate.per_second)
            self._at = now


def _size(rate: Rate, burst: int) -> float:
    return max(1.0, burst or rate.count)
