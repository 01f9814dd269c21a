"""Bytes of the NATS protocol for publications and messages. Pure: no connection, no loop, no clock."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from actorq.errors import TransportError
from actorq.model.message import NO_HEADERS, Failed, Message, Publication, Schedule
from actorq_nats.topology import Kind, kind_of

MIN_TTL = 1.0
MIN_EVERY = 1.0
_PLAIN = re.compile(r"[^\s.*>]+(?:\.[^\s.*>]+)+\Z")
_NAME = re.compile(r"[!#-'*+\-.0-9A-Z^-z|~]+\Z")
_RESERVED = "nats-"
_VERSION = "NATS/1.0\r\n"


def publish_line(subject: str, reply: str, body: bytes, head: bytes = b"") -> bytes:
    """One message on its way out; ``head`` is a header block or nothing."""
    if not head:
        return b"%b%b\r\n" % (f"PUB {subject} {reply} {len(body)}\r\n".encode(), body)
    size = len(head)
    return b"%b%b%b\r\n" % (f"HPUB {subject} {reply} {size} {size + len(body)}\r\n".encode(), head, body)


def header_block(headers: Sequence[tuple[str, str]]) -> bytes:
    """The header block of a message, empty for none. Raises ValueError for a line break or what UTF-8 cannot hold."""
    if not headers:
        return b""
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    text = "".join((_VERSION, *lines, "\r\n"))
    if not text.count("\n") == text.count("\r") == len(lines) + 2:
        raise ValueError("a header has a line break in it")
    return text.encode()


class Encoder:
    """Turns publications of one namespace into protocol lines, or says why one can never be stored."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def encode(self, publication: Publication, reply: str, max_bytes: int) -> bytes | Failed:
        """The line to write, with ``reply`` as the place for the confirmation; Failed if it is hopeless."""
        subject, body = publication.subject, publication.body
        problem = self._objection(publication)
        if problem is not None:
            return _hopeless(problem, subject)
        try:
            head = header_block(_headers(publication, kind_of(self._prefix, subject)))
        except (ValueError, OverflowError) as error:
            return _hopeless(f"the message to {subject} cannot be written: {error}", subject)
        size = len(head) + len(body)
        if size > max_bytes:
            return _hopeless(too_large(subject, size, max_bytes), subject)
        return publish_line(subject, reply, body, head)

    def _objection(self, publication: Publication) -> str | None:
        subject, schedule = publication.subject, publication.schedule
        if not _PLAIN.match(subject):
            return f"{subject!r} is not a subject to publish to: use non-empty tokens without wildcards"
        kind = kind_of(self._prefix, subject)
        if kind is None:
            return (
                f"nothing stores messages on {subject}: in the namespace {self._prefix} "
                "use t s m j k x, r p or d as second token"
            )
        for name in publication.headers:
            if not _is_own_name(name):
                return f"the header {name!r} of the message to {subject} is not allowed: use a plain name, not NATS's"
        if publication.ttl is not None and publication.ttl < MIN_TTL:
            return f"the message to {subject} has a ttl of {publication.ttl} s: use {MIN_TTL:g} s or more"
        return None if schedule is None else self._schedule_objection(subject, schedule, kind)

    def _schedule_objection(self, subject: str, schedule: Schedule, kind: Kind) -> str | None:
        if kind is not Kind.TASKS:
            return f"{subject} cannot hold a schedule: only the task store fires messages"
        if sum(given is not None for given in (schedule.at, schedule.every, schedule.cron)) != 1:
            return f"the schedule on {subject} must have exactly one of at, every and cron"
        if schedule.every is not None and schedule.every < MIN_EVERY:
            return f"the schedule on {subject} fires every {schedule.every} s: use {MIN_EVERY:g} s or more"
        target = schedule.target
        if target == subject or not _PLAIN.match(target) or kind_of(self._prefix, target) is not Kind.TASKS:
            return f"the schedule on {subject} has the target {target!r}, which is no other subject of the task store"
        return None


def too_large(subject: str, size: int, limit: int) -> str:
    """What to tell whoever sends more than the broker takes (it would close the connection)."""
    return (
        f"the message to {subject} has {size:,} bytes with its headers and the broker takes at most {limit:,}: "
        "send a reference to the data instead"
    )


@lru_cache(maxsize=1_024)
def _is_own_name(name: str) -> bool:
    """Whether a header may have this name; the broker's own would change what is stored, and where."""
    return _NAME.match(name) is not None and name[:5].lower() != _RESERVED


def _hopeless(problem: str, subject: str) -> Failed:
    return Failed(TransportError(problem, subject=subject), permanent=True)


def _headers(publication: Publication, kind: Kind | None) -> list[tuple[str, str]]:
    headers = list(publication.headers.items())
    if publication.msg_id is not None:
        headers.append(("Nats-Msg-Id", publication.msg_id))
    expect = publication.expect
    if expect is not None:
        headers.append(("Nats-Expected-Last-Subject-Sequence", str(expect.sequence)))
        if expect.subject != publication.subject:
            headers.append(("Nats-Expected-Last-Subject-Sequence-Subject", expect.subject))
    if publication.ttl is not None:
        headers.append(("Nats-TTL", str(math.ceil(publication.ttl))))
    if publication.replace and kind is not Kind.RESULTS:  # a result stream keeps one message for each subject anyway
        headers.append(("Nats-Rollup", "sub"))
    if publication.schedule is not None:
        headers += _schedule_headers(publication.schedule)
    return headers


def _schedule_headers(schedule: Schedule) -> Iterator[tuple[str, str]]:
    if schedule.at is not None:
        yield "Nats-Schedule", f"@at {_moment(schedule.at)}"
    elif schedule.every is not None:
        yield "Nats-Schedule", f"@every {math.ceil(schedule.every * 1_000)}ms"
    else:
        yield "Nats-Schedule", schedule.cron or ""
        if schedule.timezone is not None:
            yield "Nats-Schedule-Time-Zone", schedule.timezone
    yield "Nats-Schedule-Target", schedule.target


def _moment(at: float) -> str:
    # Rounded up to the millisecond: never early.
    seconds, millis = divmod(math.ceil(at * 1_000), 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03}Z"


def parse_headers(block: bytes) -> dict[str, str]:
    """A message's own headers; those of NATS, which say how it was to be stored or has fired, are left out."""
    found: dict[str, str] = {}
    for line in block.decode(errors="replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon and name[:5] != "Nats-":
            found[name] = value.removeprefix(" ")
    return found


def broker_headers(block: bytes) -> dict[str, str]:
    """All headers, those of NATS included."""
    lines = (line.partition(":") for line in block.decode(errors="replace").split("\r\n")[1:])
    return {name: value.strip() for name, colon, value in lines if colon}


def parse_status(block: bytes) -> tuple[int, str]:
    """Code and text of a status message (``NATS/1.0 408 Request Timeout``); (0, "") for an ordinary message."""
    line = block.partition(b"\r\n")[0].decode(errors="replace")
    _, _, rest = line.partition(" ")
    code, _, text = rest.partition(" ")
    return (int(code), text) if code.isdigit() else (0, "")


def parse_delivery(subject: bytes, reply: bytes, body: bytes, block: bytes) -> tuple[Message, int]:
    """A delivered message, and how often it has been delivered, this time included."""
    tokens = reply.split(b".")
    # $JS.ACK.stream.consumer.delivered.sequence...; with a domain and an account hash before the stream's name in
    # the newer form.
    at = 4 if len(tokens) == 9 else 6
    headers = parse_headers(block) if block else NO_HEADERS
    message = Message(subject.decode(), body, headers, int(tokens[at + 1]), int(tokens[at + 3]) / 1e9)
    return message, int(tokens[at])


class StoredMessage(msgspec.Struct):
    """A message as the broker's API gives it."""

    subject: str
    seq: int
    time: datetime
    data: str = ""
    hdrs: str = ""

    def message(self) -> Message:
        headers = parse_headers(base64.b64decode(self.hdrs)) if self.hdrs else NO_HEADERS
        return Message(self.subject, base64.b64decode(self.data), headers, self.seq, self.time.timestamp())


def parse_direct(block: bytes, body: bytes) -> Message:
    """A message as a direct get gives it: where it lies is told in headers."""
    told = broker_headers(block)
    at = datetime.fromisoformat(told["Nats-Time-Stamp"]).timestamp()
    return Message(told["Nats-Subject"], body, parse_headers(block), int(told["Nats-Sequence"]), at)
