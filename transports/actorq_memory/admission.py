"""What the broker takes: which store a subject belongs to, and why a publication can never be stored."""

from __future__ import annotations

from enum import Enum

from actorq.model.message import Publication, Schedule
from actorq_memory.subjects import is_plain

MAX_BYTES = 1_048_576
MIN_TTL = 1.0
MIN_EVERY = 1.0
HOLDERS = "s"
_LINE = len(": \r\n")
_FRAME = len("NATS/1.0\r\n\r\n")


class Kind(Enum):
    """The stores of a namespace, by the second tokens of the subjects that they take."""

    TASKS = frozenset("tsmjkx")
    RESULTS = frozenset("rp")
    DEAD = frozenset("d")


def kind_of(prefix: str, subject: str) -> Kind | None:
    """Which store takes a subject or filter (``*`` as second token: tasks); None where nobody stores it."""
    tokens = subject.split(".", 2)
    if len(tokens) < 3 or tokens[0] != prefix:
        return None
    if tokens[1] == "*":
        return Kind.TASKS
    return next((kind for kind in Kind if tokens[1] in kind.value), None)


def size_of(publication: Publication) -> int:
    """Bytes of body and headers, counted as the wire of JetStream would."""
    headers = publication.headers
    if not headers:
        return len(publication.body)
    lines = sum(len(name.encode()) + len(value.encode()) + _LINE for name, value in headers.items())
    return len(publication.body) + lines + _FRAME


def objection(prefix: str, publication: Publication) -> str | None:
    """Why this can never be stored; None if it can."""
    subject = publication.subject
    if not is_plain(subject):
        return f"{subject!r} is not a subject to publish to: use non-empty tokens without wildcards"
    kind = kind_of(prefix, subject)
    if kind is None:
        return f"nothing stores messages on {subject}: after {prefix} use t s m j k x, r p or d"
    size = size_of(publication)
    if size > MAX_BYTES:
        return (
            f"the message to {subject} has {size:,} bytes with its headers and the broker takes at most {MAX_BYTES:,}: "
            "send a reference to the data instead"
        )
    if publication.ttl is not None and publication.ttl < MIN_TTL:
        return f"the message to {subject} has a ttl of {publication.ttl} s: use {MIN_TTL:g} s or more"
    return None if publication.schedule is None else _schedule_objection(prefix, subject, publication.schedule)


def _schedule_objection(prefix: str, subject: str, schedule: Schedule) -> str | None:
    what = f"the schedule on {subject}"
    if subject.split(".", 2)[1] != HOLDERS:
        return f"{what} would never fire: use a subject with {HOLDERS} as second token"
    if sum(given is not None for given in (schedule.at, schedule.every, schedule.cron)) != 1:
        return f"{what} must have exactly one of at, every and cron"
    if schedule.cron is not None:
        return f"{what} is a cron expression, which only the NATS transport fires: use every"
    if schedule.every is not None and schedule.every < MIN_EVERY:
        return f"{what} fires every {schedule.every} s: use {MIN_EVERY:g} s or more"
    target = schedule.target
    if not is_plain(target) or target == subject or kind_of(prefix, target) is not Kind.TASKS:
        return f"{what} has the target {target!r}: use another subject of the task store"
    return None
