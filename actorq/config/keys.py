"""Every key of the configuration: what it means, what it takes, what happens where it is changed in a reload.

This table is what files and variables are checked against, and what the schema and the reference are made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from actorq.config import kinds
from actorq.config.kinds import Kind
from actorq.config.problems import Path
from actorq.model.message import StreamSettings
from actorq.model.policy import LATER, Policy
from actorq.model.retry import DEFAULT_RETRY
from actorq.model.supervision import Backoff, SupervisorSpec

Reload = Literal["live", "restart", "refused", "unused"]
"""A change of a key applies while running, by a restart of the actor, not at all, or there is nothing to apply."""


@dataclass(frozen=True, slots=True)
class Key:
    """``doc``: what it says, for the reference. ``default`` is the value inside; ``secret``: never shown."""

    kind: Kind
    doc: str
    default: Any = None
    reload: Reload = "live"
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """``entries``: by their names. ``each``: what any other name holds. ``array``: an array of such tables."""

    doc: str
    entries: Mapping[str, Key | Table] = field(default_factory=dict[str, "Key | Table"])
    each: Table | None = None
    array: bool = False

    def entry(self, name: str | int) -> Key | Table | None:
        """What ``name`` is in this table; None where there is no such key."""
        if self.array:
            return Table(self.doc, self.entries) if isinstance(name, int) else None
        return None if isinstance(name, int) else self.entries.get(name, self.each)

    def find(self, path: Path) -> Key | Table | None:
        """The same for a path."""
        found: Key | Table | None = self
        for name in path:
            found = found.entry(name) if isinstance(found, Table) else None
        return found

    def walk(self, *path: str) -> Iterator[tuple[tuple[str, ...], Key]]:
        """All keys below, with their paths; not those under names of the user's own, nor in arrays."""
        for name, entry in self.entries.items():
            if isinstance(entry, Key):
                yield (*path, name), entry
            elif not entry.array:
                yield from entry.walk(*path, name)


_RETRY = {
    "max_attempts": (kinds.a_whole(1), "how many runs in all"),
    "initial": (kinds.a_duration(), "wait before the second run"),
    "factor": (kinds.a_number(1), "each further wait is so many times the one before"),
    "max": (kinds.a_duration(), "longest wait"),
    "jitter": (kinds.FLAG, "wait a random part of it"),
    "no_retry": (kinds.EXCEPTIONS, "full names of exceptions that fail at once"),
    "restart_on": (kinds.EXCEPTIONS, "full names of exceptions that also restart the actor"),
}
_POLICY: Mapping[str, tuple[Kind, str, Reload]] = {
    "queue": (kinds.NAME, "which workers serve it", "restart"),
    "concurrency": (kinds.a_whole(1), "slots in each worker", "live"),
    "threads": (kinds.a_whole(1), "the same for a plain `def`: the smaller one of both counts", "live"),
    "timeout": (kinds.optional(kinds.a_duration()), "time limit of one attempt", "live"),
    "result_ttl": (kinds.optional(kinds.a_duration()), "how long results are kept; none: `streams.result_ttl`", "live"),
    "rate_limit": (kinds.optional(kinds.RATE), "starts in each worker", "live"),
    "burst": (kinds.a_whole(), "how many of them at once; 0: the rate's count", "live"),
    "global_concurrency": (kinds.a_whole(), "how many may be held over all workers; 0: no limit", "restart"),
    "isolation": (kinds.a_choice("thread", "process"), "`process` runs each attempt in a child process", "restart"),
    "max_abandoned": (kinds.a_whole(), "how many abandoned threads end the process; 0: as `threads`", "live"),
    "restart": (kinds.a_choice("permanent", "transient", "temporary"), "always, after failures only, or never", "live"),
    "significant": (kinds.FLAG, "its end counts for its supervisor's `auto_shutdown`", "live"),
}
_SUPERVISOR = {
    "strategy": (
        kinds.a_choice("one_for_one", "rest_for_one", "one_for_all"),
        "what is restarted when a child fails: itself, also all after it, or all",
    ),
    "max_restarts": (kinds.a_whole(), "after more restarts than so many within `within` it gives up"),
    "within": (kinds.a_duration(), "see `max_restarts`"),
    "children": (kinds.CHILDREN, "actors and supervisors in order of start; left out: all that no other names"),
    "auto_shutdown": (
        kinds.a_choice("never", "any", "all"),
        "whether it ends, in order, when any or all of its significant children have ended",
    ),
}
_CHILD = {
    "restart": (
        kinds.a_choice("permanent", "transient", "temporary"),
        "whether its own supervisor restarts it: always, after failures only, or never",
    ),
    "significant": (kinds.FLAG, "its end counts for its own supervisor's `auto_shutdown`"),
    "stop_timeout": (kinds.a_duration(), "how long it may take to end in order"),
}
_BACKOFF = {
    "initial": (kinds.a_duration(), "wait before the first restart of a child"),
    "factor": (kinds.a_number(1), "each further wait is so many times the one before"),
    "max": (kinds.a_duration(), "longest wait"),
    "jitter": (kinds.a_number(0, 1), "the part of a wait by which chance lengthens or shortens it"),
}
_STREAMS = {
    "replicas": (kinds.a_whole(1, 5), "copies of each stream in a cluster"),
    "duplicate_window": (kinds.a_duration(), "how long the broker remembers message ids"),
    "result_ttl": (kinds.a_duration(1), "how long results are kept"),
    "dead_ttl": (kinds.a_duration(1), "how long dead letters are kept"),
    "manage": (kinds.a_choice("create", "verify", "none"), "make the streams, only check them, or neither"),
}


def _keys(rows: Mapping[str, tuple[Kind, str]], defaults: object, reload: Reload = "live") -> dict[str, Key | Table]:
    return {name: Key(kind, doc, getattr(defaults, name), reload) for name, (kind, doc) in rows.items()}


def _policy() -> dict[str, Key | Table]:
    own = {name: Key(kind, doc, getattr(Policy(), name), reload) for name, (kind, doc, reload) in _POLICY.items()}
    later = {name: Key(kinds.not_yet(value), "", value, "unused") for name, value in LATER.items()}
    return {**own, "retry": Table("When a failed attempt is made again.", _keys(_RETRY, DEFAULT_RETRY)), **later}


def _supervisor(rows: Mapping[str, tuple[Kind, str]]) -> dict[str, Key | Table]:
    backoff = Table("How long a child waits before it is started again.", _keys(_BACKOFF, Backoff()))
    children = Key(*_SUPERVISOR["children"], reload="restart")
    return {**_keys(rows, SupervisorSpec(name="")), "children": children, "backoff": backoff}


_NATS: dict[str, Key | Table] = {
    "servers": Key(kinds.SERVERS, "URLs of the broker", ("nats://127.0.0.1:4222",), "refused"),
    "connect_timeout": Key(kinds.a_duration(), "how long to try to connect", 10.0, "refused"),
    "send_timeout": Key(kinds.a_duration(), "how long to try to have the confirmation of a send", 15.0, "refused"),
    "user": Key(kinds.TEXT, "user name", None, "refused"),
    "password": Key(kinds.TEXT, "password; better `${NATS_PASSWORD}` than itself", None, "refused", secret=True),
    "token": Key(kinds.TEXT, "token", None, "refused", secret=True),
    "creds": Key(kinds.TEXT, "credentials file", None, "refused"),
    "nkey": Key(kinds.TEXT, "file of an nkey seed", None, "refused"),
    "tls_cert": Key(kinds.TEXT, "client certificate", None, "refused"),
    "tls_key": Key(kinds.TEXT, "client key", None, "refused"),
    "tls_ca": Key(kinds.TEXT, "certificate authority", None, "refused"),
}
_LEVELS = ("debug", "info", "warning", "error", "critical")
_WORKER: dict[str, Key | Table] = {
    "app": Key(kinds.TARGET, "the system that it runs", None, "refused"),
    "backend": Key(kinds.a_choice("asyncio", "trio"), "event loop that runs the handlers", "asyncio", "refused"),
    "workers": Key(kinds.a_whole(1), "processes", 1, "refused"),
    "name": Key(kinds.NAME, "its name; left out: host, process id and random characters", None, "refused"),
    "queues": Key(kinds.QUEUES, "queues to serve, `*` for all", ("*",), "restart"),
    "exclude_queues": Key(kinds.NO_QUEUES, "queues not to serve", (), "restart"),
    "concurrency": Key(kinds.a_whole(1), "slots of every actor, instead of its own"),
    "shutdown_timeout": Key(kinds.a_duration(), "how long running tasks may go on after the first signal", 30.0),
    "stop_timeout": Key(kinds.a_duration(), "how long running tasks of an actor may go on when it is restarted", 5.0),
    "ack_wait": Key(
        kinds.a_duration(1), "lease of a delivery: after a crash its task runs elsewhere so much later", 30.0, "refused"
    ),
    "crash_budget": Key(kinds.a_whole(1), "how many leases of one task may be lost before it is not run again", 5),
    "max_tasks": Key(kinds.a_whole(), "a process is replaced after so many tasks; 0: never", 0),
    "max_rss": Key(kinds.SIZE, "a process is replaced when it has so much memory; 0: never", 0),
    "log_level": Key(kinds.a_choice(*_LEVELS), "least severe level that is logged", "info"),
}
_SCHEDULE: dict[str, Key | Table] = {
    "name": Key(kinds.NAME, "its name; needed", reload="unused"),
    "actor": Key(kinds.TEXT, "address that it sends to; needed", reload="unused"),
    "cron": Key(kinds.TEXT, "when, in five or six fields", reload="unused"),
    "every": Key(kinds.a_duration(1), "how often, instead of `cron`", reload="unused"),
    "timezone": Key(kinds.TEXT, "in which `cron` is read", "UTC", "unused"),
    "args": Key(kinds.ANYTHING, "arguments of the task", (), "unused"),
    "kwargs": Key(kinds.TABLE, "keyword arguments of the task", {}, "unused"),
}
KEYS = Table(
    "",
    {
        "version": Key(kinds.a_whole(1, 1), "version of this format", 1, "unused"),
        "namespace": Key(kinds.NAMESPACE, "instead of the system's name", None, "refused"),
        "include": Key(kinds.FILES, "further files, relative to this one; `*` and `?` match", (), "unused"),
        "nats": Table("The connection. Paths of files are relative to the working folder.", _NATS),
        "streams": Table("How the streams of the namespace are made.", _keys(_STREAMS, StreamSettings(), "refused")),
        "worker": Table("A worker process.", _WORKER),
        "defaults": Table("For every actor whose declaration does not say otherwise.", _policy()),
        "actors": Table("For one actor, over its declaration.", each=Table("", _policy())),
        "supervisor": Table("The supervisor at the root.", _supervisor(_SUPERVISOR)),
        "supervisors": Table("Supervisors below it.", each=Table("", _supervisor({**_SUPERVISOR, **_CHILD}))),
        "schedules": Table("Recurring tasks: checked, but not run by this version.", _SCHEDULE, array=True),
    },
)
