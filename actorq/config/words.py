"""What somebody may have meant who wrote a key that there is not."""

from __future__ import annotations

from collections.abc import Mapping

from actorq.config.keys import KEYS, Key, Table
from actorq.core.spelling import hint, nearest

# By what a key is called here: how it is called elsewhere.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "ack_wait": ("lease", "visibility_timeout", "ack_timeout"),
    "actor": ("task", "address"),
    "app": ("target", "system", "module"),
    "backend": ("loop", "event_loop"),
    "concurrency": ("prefetch", "prefetch_count", "slots", "parallelism", "max_concurrency"),
    "crash_budget": ("max_deliver", "max_deliveries"),
    "creds": ("credentials",),
    "cron": ("crontab", "schedule"),
    "every": ("interval", "period"),
    "exclude_queues": ("exclude", "ignore_queues"),
    "factor": ("multiplier", "exponent", "growth"),
    "initial": ("delay", "base", "min", "min_backoff", "first"),
    "log_level": ("loglevel", "level"),
    "max": ("cap", "limit", "max_delay", "max_backoff"),
    "max_attempts": ("max_retries", "retries", "attempts", "max_tries"),
    "max_restarts": ("intensity", "max_restart", "restarts"),
    "max_rss": ("max_memory", "max_memory_per_child", "memory_limit"),
    "max_tasks": ("max_tasks_per_child", "max_requests"),
    "nats": ("broker", "connection", "transport"),
    "queue": ("routing_key",),
    "queues": ("queue",),
    "rate_limit": ("rate", "ratelimit", "throttle"),
    "result_ttl": ("ttl", "result_expires", "result_timeout", "keep_result"),
    "retry.initial": ("countdown", "retry_delay", "default_retry_delay"),
    "retry.max": ("max_backoff", "retry_backoff_max"),
    "retry.max_attempts": ("max_attempts", "max_retries", "retries", "attempts", "max_tries"),
    "retry.no_retry": ("no_retry", "dont_autoretry_for", "throws"),
    "retry.restart_on": ("restart_on",),
    "schedules": ("cron", "beat", "beat_schedule"),
    "servers": ("url", "urls", "server", "host", "broker_url", "address"),
    "shutdown_timeout": ("grace", "grace_period", "graceful_timeout", "drain_timeout", "warm_shutdown"),
    "supervisor": ("root", "supervision"),
    "threads": ("pool_size", "max_threads"),
    "timeout": ("timelimit", "time_limit", "soft_time_limit", "task_time_limit", "task_timeout", "max_runtime"),
    "timezone": ("tz",),
    "within": ("period", "window", "max_seconds", "interval"),
    "workers": ("processes", "procs", "num_workers"),
}


def meant(name: str, table: Table) -> str | None:
    """The key of ``table``, or of a table in it, that ``name`` may stand for."""
    for key, aliases in _ALIASES.items():
        if name.lower() in aliases and isinstance(table.find(tuple(key.split("."))), Key | Table):
            return key
    return nearest(name, table.entries)


def hint_for(name: str, table: Table) -> str:
    """What to say of a ``name`` that ``table`` does not have."""
    key = meant(name, table)
    return f'did you mean "{key}"?' if key else hint(name, table.entries)


def hint_for_path(path: tuple[str, ...]) -> str:
    """The same for a whole path that leads nowhere."""
    table: Key | Table | None = KEYS
    found: list[str] = []
    for name in path:
        if not isinstance(table, Table):
            break
        key = name if table.entry(name) else meant(name, table)
        if key is None:
            return hint(name, table.entries)
        found.append(key)
        table = table.find(tuple(key.split(".")))
    return f'did you mean "{".".join(found)}"?'
