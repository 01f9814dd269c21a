"""Protocol bytes: what is written for a publication, what is refused, what is read back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actorq.errors import TransportError
from actorq.model.message import Expect, Failed, Publication, Schedule
from actorq_nats.wire import (
    Encoder,
    broker_headers,
    header_block,
    parse_delivery,
    parse_direct,
    parse_headers,
    parse_status,
    publish_line,
)

TASK = Publication("aq-test.t.default.0.actor.key", b"body")
HOLDER = "aq-test.s.default.0.actor.key"
ENCODER = Encoder("aq-test")
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: not name.lower().startswith("nats-")
)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30)


def headers_of(publication: Publication) -> dict[str, str]:
    line = ENCODER.encode(publication, "inbox.1", 1_000_000)
    assert isinstance(line, bytes)
    command, _, rest = line.partition(b"\r\n")
    size = int(command.split()[-2])
    return broker_headers(rest[:size])


def objection(publication: Publication, max_bytes: int = 1_000) -> str:
    answer = ENCODER.encode(publication, "inbox.1", max_bytes)
    assert isinstance(answer, Failed)
    assert type(answer.error) is TransportError
    assert (answer.permanent, answer.unknown) == (True, False)
    return str(answer.error)


def test_a_bare_message_is_a_pub() -> None:
    """Without headers the short form is written."""
    assert ENCODER.encode(TASK, "inbox.7", 4) == b"PUB aq-test.t.default.0.actor.key inbox.7 4\r\nbody\r\n"


def test_sizes_count_headers_and_body() -> None:
    """The two numbers of the long form are the size of the block and of all."""
    block = header_block([("a", "1")])
    assert block == b"NATS/1.0\r\na: 1\r\n\r\n"
    assert publish_line("s.x", "r", b"body", block) == b"HPUB s.x r 18 22\r\n" + block + b"body\r\n"


def test_options_become_the_brokers_headers() -> None:
    """Id, condition, time to live (rounded up) and roll-up have one header each."""
    full = replace(
        TASK, headers={"h": "1"}, msg_id="m", expect=Expect(7, "aq-test.*.*.*.actor.key"), ttl=1.5, replace=True
    )
    assert headers_of(full) == {
        "h": "1",
        "Nats-Msg-Id": "m",
        "Nats-Expected-Last-Subject-Sequence": "7",
        "Nats-Expected-Last-Subject-Sequence-Subject": "aq-test.*.*.*.actor.key",
        "Nats-TTL": "2",
        "Nats-Rollup": "sub",
    }
    own = replace(TASK, expect=Expect(0, TASK.subject))
    assert headers_of(own) == {"Nats-Expected-Last-Subject-Sequence": "0"}


def test_results_are_replaced_by_their_stream() -> None:
    """A result's stream keeps one message for each subject, and allows no roll-up headers."""
    result = Publication("aq-test.r.origin.id", b"", {"h": "1"}, replace=True)
    assert headers_of(result) == {"h": "1"}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(TASK.subject, at=1_700_000_000.0001), "@at 2023-11-14T22:13:20.001Z"),
        (Schedule(TASK.subject, at=1_699_999_999.9999), "@at 2023-11-14T22:13:20.000Z"),
        (Schedule(TASK.subject, every=90.0), "@every 90000ms"),
        (Schedule(TASK.subject, cron="0 30 9 * * mon-fri"), "0 30 9 * * mon-fri"),
    ],
)
def test_schedules(schedule: Schedule, expected: str) -> None:
    """Each kind of schedule in the server's notation."""
    told = headers_of(replace(TASK, subject=HOLDER, schedule=schedule))
    assert told == {"Nats-Schedule": expected, "Nats-Schedule-Target": TASK.subject}


def test_a_cron_schedule_has_a_time_zone() -> None:
    """The zone goes with it."""
    schedule = Schedule(TASK.subject, cron="0 0 9 * * *", timezone="Europe/Riga")
    assert headers_of(replace(TASK, subject=HOLDER, schedule=schedule))["Nats-Schedule-Time-Zone"] == "Europe/Riga"


@given(st.floats(0, 4e9))
def test_a_schedule_is_never_early(at: float) -> None:
    """What is written lies at the time or less than two milliseconds after it."""
    text = headers_of(replace(TASK, subject=HOLDER, schedule=Schedule(TASK.subject, at=at)))["Nats-Schedule"]
    written = datetime.strptime(text, "@at %Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    assert at - 1e-6 <= written < at + 0.002


def test_body_and_headers_together_are_limited() -> None:
    """One byte too many is refused here, because the broker would close the connection."""
    headed = replace(TASK, headers={"h": "1"})
    assert isinstance(ENCODER.encode(headed, "inbox.1", 22), bytes)
    assert "22 bytes with its headers and the broker takes at most 21" in objection(headed, 21)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"subject": "aq-test.t.default.0.actor.*"}, "wildcards"),
        ({"subject": "aq-test.t..x"}, "non-empty"),
        ({"subject": "aq-test.t.a b"}, "non-empty"),
        ({"subject": "aq-test.e.done.x"}, "nothing stores"),
        ({"subject": "aq-else.t.default.0.actor.key"}, "nothing stores"),
        ({"headers": {"h": "1\r\nNats-Rollup: all"}}, "line break"),
        ({"headers": {"h": "1\n"}}, "line break"),
        ({"headers": {"h": "\ud800"}}, "cannot be written"),
        ({"headers": {"Nats-Rollup": "all"}}, "'Nats-Rollup'"),
        ({"headers": {"nats-rollup": "all"}}, "'nats-rollup'"),
        ({"headers": {"a b": "1"}}, "'a b'"),
        ({"headers": {"": "1"}}, "''"),
        ({"msg_id": "a\r\nb"}, "line break"),
        ({"expect": Expect(0, "x\r\ny")}, "line break"),
        ({"ttl": 0.5}, "use 1 s or more"),
        ({"schedule": Schedule(TASK.subject, at=1.0)}, "no other subject of the task store"),
        ({"subject": HOLDER, "schedule": Schedule("aq-test.r.o.x", at=1.0)}, "no other subject of the task store"),
        ({"subject": HOLDER, "schedule": Schedule(TASK.subject)}, "exactly one"),
        ({"subject": HOLDER, "schedule": Schedule(TASK.subject, at=1.0, every=2.0)}, "exactly one"),
        ({"subject": HOLDER, "schedule": Schedule(TASK.subject, every=0.5)}, "use 1 s or more"),
        ({"subject": HOLDER, "schedule": Schedule(TASK.subject, at=1e300)}, "cannot be written"),
        ({"subject": "aq-test.r.o.x", "schedule": Schedule(TASK.subject, at=1.0)}, "only the task store"),
    ],
)
def test_hopeless_messages_are_refused_here(fields: dict[str, Any], told: str) -> None:
    """What can never be stored, or would do something else than it says, is a permanent failure that says why."""
    assert told in objection(replace(TASK, **fields))


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_headers_come_back(headers: dict[str, str]) -> None:
    """What is written can be read, whatever the values hold."""
    assert parse_headers(header_block(list(headers.items()))) == headers


def test_the_brokers_headers_are_not_the_messages() -> None:
    """What says how a message was stored or fired is left out."""
    assert parse_headers(b"NATS/1.0\r\nNats-Msg-Id: m\r\nh: 1\r\nforeign:2\r\n\r\n") == {"h": "1", "foreign": "2"}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"NATS/1.0 503\r\n\r\n", (503, "")),
        (b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n", (408, "Request Timeout")),
        (b"NATS/1.0\r\nh: 1\r\n\r\n", (0, "")),
        (b"", (0, "")),
    ],
)
def test_status(block: bytes, expected: tuple[int, str]) -> None:
    """Status messages are told from ordinary ones."""
    assert parse_status(block) == expected


@pytest.mark.parametrize(
    "reply", [b"$JS.ACK.S.q~0~a.3.41.7.1700000000500000000.9", b"$JS.ACK.dom.hash.S.q~0~a.3.41.7.1700000000500000000.9"]
)
def test_a_delivery_is_dated_and_counted_by_its_reply(reply: bytes) -> None:
    """Both forms of the reply subject are understood."""
    message, deliveries = parse_delivery(b"a.b", reply, b"body", b"NATS/1.0\r\nh: 1\r\n\r\n")
    assert (message.subject, message.body, message.headers, message.sequence, message.at, deliveries) == (
        "a.b", b"body", {"h": "1"}, 41, 1_700_000_000.5, 3,
    )  # fmt: skip


def test_a_direct_get_tells_in_headers() -> None:
    """Subject, sequence and time come from the headers, to the microsecond."""
    told = [("h", "1"), ("Nats-Subject", "a.b"), ("Nats-Sequence", "5")]
    block = header_block([*told, ("Nats-Time-Stamp", "2023-11-14T22:13:20.123456789Z")])
    message = parse_direct(block, b"body")
    assert (message.subject, message.sequence, message.at, message.headers) == (
        "a.b",
        5,
        1_700_000_000.123456,
        {"h": "1"},
    )
