"""The message of one task (semantics C-1), as a value. Its wire form is the business of ``actorq.core.codec``.

What is made for each task is a Struct: a frozen dataclass of as many fields takes twenty times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from actorq.model.address import parse_address
from actorq.model.retry import Retry

VERSION = 1


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One task on its way. Times are seconds since the epoch; durations are seconds.

    ``args`` and ``kwargs`` hold wire values: what MessagePack and the extension types of C-1 can carry.
    ``reply`` says where the outcome goes: None for nowhere, a number for a result record with that time to live, a
    subject for a reply slot. ``retry``: the call's own policy, classes by name; None: the actor's. ``extra`` keeps keys
    that this version does not know.
    """

    id: str
    to: str
    root: str = ""
    parent: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    attempt: int = 1
    generation: int = 0
    repeat: bool = False
    leases_lost: int = 0
    expires: float | None = None
    deadline: float | None = None
    time_limit: float | None = None
    retry: Retry | None = None
    reply: float | str | None = None
    frames: tuple[Any, ...] = ()
    trace: Mapping[str, str] | None = None
    meta: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def actor(self) -> str:
        return parse_address(self.to)[0]

    @property
    def method(self) -> str | None:
        return parse_address(self.to)[1]

    def result_ttl(self, default: float) -> float:
        """Seconds that its record is kept, at least 1; ``default``: where it does not say."""
        return max(1.0, self.reply if isinstance(self.reply, int | float) else default)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """An exception as it travels: names, text and, as wire values, its ``args``."""

    type_name: str
    message: str
    traceback: str = ""
    kind: str = "raised"  # raised | timed_out | cancelled | expired | deadline | dead
    reason: str = ""
    actor: str = ""
    task_id: str = ""
    path: str = ""
    attempts: int = 0
    abandoned: bool = False
    args: tuple[Any, ...] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a result subject holds (D-1): a terminal state or ``retrying``. ``value`` is a wire value.

    ``reason``: why the message went to the dead letters (F-3), empty if it did not.
    """

    id: str
    state: str  # succeeded | failed | cancelled | expired | retrying | replaced
    generation: int = 0
    value: Any = None
    error: ErrorInfo | None = None
    attempts: int = 1
    at: float = 0.0
    worker: str = ""
    reason: str = ""
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def terminal(self) -> bool:
        return self.state != "retrying"

    @property
    def replaceable(self) -> bool:
        """Whether an outcome of a higher generation may take its place (D-1)."""
        return self.state in ("failed", "expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that will not be run, with why (F-3). ``envelope`` is the original body, byte for byte."""

    id: str
    actor: str
    queue: str
    reason: str
    error: str = ""
    message: str = ""
    traceback: str = ""
    attempts: int = 0
    deliveries: int = 0
    worker: str = ""
    at: float = 0.0
    first_at: float = 0.0
    subject: str = ""
    envelope: bytes = b""
