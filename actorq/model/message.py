"""What goes to a broker and what comes back, in terms that every driver shares.

What is made for each message is a Struct: a frozen dataclass takes ten times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from actorq.errors import TransportError

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Expect(msgspec.Struct, frozen=True):
    """Store only if the newest message matching ``subject`` has ``sequence`` (0: there is none).

    ``subject`` may contain ``*`` tokens and may differ from the published one; both lie in one stream.
    """

    sequence: int
    subject: str


class Schedule(msgspec.Struct, frozen=True):
    """Hold the message and publish it to ``target`` when due.

    Exactly one of ``at`` (seconds since the epoch), ``every`` (seconds, at least 1) and ``cron`` (six fields, in
    ``timezone``) is given. A past ``at`` fires at once. The holder's own subject takes one message at a time.
    """

    target: str
    at: float | None = None
    every: float | None = None
    cron: str | None = None
    timezone: str | None = None


class Publication(msgspec.Struct, frozen=True):
    """One message to store. ``ttl`` in seconds (at least 1). ``msg_id`` drops repeats within the duplicate window.

    Order of checks: ``expect`` first, ``msg_id`` second. Where the id repeats, nothing is stored. ``replace``: once
    stored it is the only message of its subject (for records in the task store, which otherwise keeps all).
    """

    subject: str
    body: bytes
    headers: Mapping[str, str] = NO_HEADERS
    msg_id: str | None = None
    expect: Expect | None = None
    ttl: float | None = None
    schedule: Schedule | None = None
    replace: bool = False


class Message(msgspec.Struct, frozen=True):
    """A stored message (or, from a lossy subscription, a passing one: sequence 0 and ``at`` 0.0 where unknown).

    ``headers``: the publisher's own, without those that told the broker what to do.
    """

    subject: str
    body: bytes
    headers: Mapping[str, str] = NO_HEADERS
    sequence: int = 0
    at: float = 0.0
    reply: str = ""


class Stored(msgspec.Struct, frozen=True):
    """Confirmed. ``duplicate``: the same ``msg_id`` was there already, as ``sequence``, and nothing was added."""

    sequence: int
    duplicate: bool = False


class Refused(msgspec.Struct, frozen=True):
    """The expected sequence did not hold; surely not stored."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No confirmation. ``unknown``: it may have been stored all the same. ``permanent``: trying again is useless."""

    error: TransportError
    unknown: bool = False
    permanent: bool = False


Confirmation = Stored | Refused | Failed


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable consumer of one mailbox.

    ``lease``: seconds until an unacknowledged, unrenewed message is delivered again. ``max_held``: how many may be
    out at once over all workers (0: never binding). ``idle``: seconds without any pull until the broker removes it.
    """

    name: str
    filter: str
    lease: float
    max_held: int = 0
    idle: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """How a consumer stands. ``waiting``: messages never delivered; ``held``: delivered, not acknowledged.

    ``pullers``: requests that wait for messages, over all workers; each consumer with credit has one at least.
    """

    waiting: int
    held: int
    pullers: int


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How the streams of a namespace are made. Durations in seconds. ``manage``: create, verify or none."""

    replicas: int = 1
    duplicate_window: float = 120.0
    result_ttl: float = 3_600.0
    dead_ttl: float = 14 * 86_400.0
    manage: str = "create"


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """What a driver needs to connect.

    ``url`` is the transport as the user gave it (several servers: comma separated); ``prefix`` is the namespace's
    first token; ``name`` is the connection's name as operators see it. Secrets never appear in ``repr``.
    """

    url: str
    prefix: str
    name: str = "actorq"
    connect_timeout: float = 10.0
    streams: StreamSettings = field(default_factory=StreamSettings)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    creds: str | None = None
    nkey: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None
