"""Names, and the subjects that they form (semantics B-1). Pure text: nothing here knows what lies behind a subject."""

from __future__ import annotations

import re
from dataclasses import dataclass

from actorq.errors import InvalidName

NAME_RULE = "1 to 64 of A-Z a-z 0-9 _ -"
PAUSED = "_pause"
"""In place of an actor in a register subject: whether the queue is paused."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def token(value: object, what: str) -> str:
    """Return ``value`` if it is one subject token, else raise InvalidName naming ``what`` and the rule."""
    if isinstance(value, str) and _TOKEN.match(value):
        return value
    raise InvalidName(f"{what} {value!r} is not a valid name: use {NAME_RULE}", name=value)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where messages of one actor wait: a queue, a lane in it (0 is served first) and the actor."""

    queue: str
    lane: int
    actor: str

    @property
    def consumer(self) -> str:
        """Name of its durable consumer."""
        return f"{self.queue}~{self.lane}~{self.actor}"

    def __str__(self) -> str:
        return f"{self.queue}.{self.lane}.{self.actor}"


def parse_address(to: str) -> tuple[str, str | None]:
    """Split ``actor`` or ``actor.method``; raise InvalidName for anything else."""
    actor, dot, method = to.partition(".")
    token(actor, "actor")
    if not dot:
        return actor, None
    return actor, token(method, f"method of {actor!r}")


@dataclass(frozen=True, slots=True)
class Namespace:
    """Builds the subjects of one system. ``prefix`` is its name behind ``aq-``."""

    prefix: str

    @classmethod
    def of(cls, name: str) -> Namespace:
        """The namespace of the system ``name``."""
        token(name, "system name")
        if len(name) > 61:
            raise InvalidName(f"system name {name!r} has {len(name)} characters: use at most 61", name=name)
        return cls("aq-" + name)

    def task(self, mailbox: Mailbox, key: str) -> str:
        return f"{self.prefix}.t.{mailbox}.{key}"

    def schedule(self, mailbox: Mailbox, key: str) -> str:
        return f"{self.prefix}.s.{mailbox}.{key}"

    def inbox(self, mailbox: Mailbox) -> str:
        """Filter over every task subject of a mailbox."""
        return f"{self.prefix}.t.{mailbox}.*"

    def every(self, kind: str, queue: str = "*", actor: str = "*") -> str:
        """Filter over the task (``t``) or schedule (``s``) subjects of a queue and actor, in any lane."""
        return f"{self.prefix}.{kind}.{queue}.*.{actor}.*"

    def copies(self, actor: str, key: str) -> str:
        """Filter over every copy of a task, waiting or scheduled, in any queue and lane (``actor`` may be ``*``)."""
        return f"{self.prefix}.*.*.*.{actor}.{key}"

    def register(self, mailbox: Mailbox) -> str:
        return f"{self.prefix}.m.{mailbox}"

    def registers(self, actor: str = "*", queue: str = "*") -> str:
        """Filter over register records."""
        return f"{self.prefix}.m.{queue}.*.{actor}"

    def result(self, origin: str, task_id: str) -> str:
        return f"{self.prefix}.r.{origin}.{task_id}"

    def wake(self, origin: str, task_id: str = "*") -> str:
        """Where a stored result is announced; without an id the filter over all of one origin."""
        return f"{self.prefix}.n.{origin}.{task_id}"

    def pause(self, queue: str) -> str:
        """Register record that says whether a queue is paused (``*``: filter over all)."""
        return f"{self.prefix}.m.{queue}.0.{PAUSED}"

    def cancel(self, task_id: str = "*") -> str:
        """Where a cancellation is stored; without an id the filter over all."""
        return f"{self.prefix}.x.{task_id}"

    def cancelled(self) -> str:
        """Filter over the announcements of cancellations."""
        return f"{self.prefix}.n.x.*"

    def control(self, verb: str, worker: str = "all") -> str:
        """Where workers are asked; one of them by its name."""
        return f"{self.prefix}.c.{worker}.{verb}"

    def dead(self, queue: str, actor: str, task_id: str) -> str:
        return f"{self.prefix}.d.{queue}.{actor}.{task_id}"


def parse_subject(subject: str) -> tuple[str, Mailbox, str] | None:
    """Kind, mailbox and key of a task, schedule or register subject (key "" for a register); None for any other."""
    parts = subject.split(".")
    if len(parts) == 6 and parts[1] in ("t", "s"):
        key = parts[5]
    elif len(parts) == 5 and parts[1] == "m":
        key = ""
    else:
        return None
    if not parts[3].isdigit():
        return None
    return parts[1], Mailbox(parts[2], int(parts[3]), parts[4]), key
