"""The settings of one worker, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from actorq.errors import ConfigError
from actorq.model.address import token

SHORTEST_LEASE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Settings of one worker; durations in seconds. ``queues``: ``("*",)`` serves all but ``exclude``.

    ``concurrency``: overrides every actor's own. ``burst``: stop when all mailboxes are empty. ``max_tasks`` and
    ``max_rss`` (bytes): drain and end in order once so many tasks have run, or so much memory is in use; 0: never.
    ``app``: MODULE:SYSTEM, from which a child process gets the same actors.
    """

    name: str = ""
    queues: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    concurrency: int | None = None
    shutdown_timeout: float = 30.0
    stop_timeout: float = 5.0
    lease: float = 30.0
    crash_budget: int = 5
    burst: bool = False
    max_tasks: int = 0
    max_rss: int = 0
    app: str = ""

    def __post_init__(self) -> None:
        for queue in (*self.queues, *self.exclude):
            if queue != "*":
                token(queue, "queue")
        if self.lease < SHORTEST_LEASE:
            raise ConfigError(f"lease is {self.lease:g} s: use {SHORTEST_LEASE:g} s or more")
        if self.crash_budget < 1:
            raise ConfigError(f"crash_budget is {self.crash_budget}: use 1 or more")
        for name in ("shutdown_timeout", "stop_timeout", "max_tasks", "max_rss"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name):g}: use 0 or more")

    def serves(self, queue: str) -> bool:
        return ("*" in self.queues or queue in self.queues) and queue not in self.exclude
