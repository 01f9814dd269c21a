"""What the broker turns down whatever it holds, and how it says so."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from actorq.errors import ConfigError
from actorq.model.message import ConnectionSettings, ConsumerSpec, Failed, Publication, Schedule
from actorq_memory import connect
from actorq_memory.admission import MAX_BYTES, objection, size_of
from actorq_memory.subjects import matches, overlap

TASK = Publication("ns.t.default.0.actor.a", b"")
HOLDER = Publication("ns.s.default.0.actor.a", b"", schedule=Schedule(TASK.subject, at=0.0))


def scheduled(schedule: Schedule) -> Publication:
    return replace(HOLDER, schedule=schedule)


@pytest.mark.parametrize(
    ("publication", "words"),
    [
        (replace(TASK, subject="ns.t.default.0.actor.*"), "without wildcards"),
        (replace(TASK, subject="ns.t..a"), "non-empty tokens"),
        (replace(TASK, subject="ns.t.a b"), "non-empty tokens"),
        (replace(TASK, subject="ns.e.done.actor"), "nothing stores messages on ns.e.done.actor"),
        (replace(TASK, subject="other.t.default.0.actor.a"), "nothing stores messages"),
        (replace(TASK, body=b"x" * (MAX_BYTES + 1)), "1,048,577 bytes"),
        (replace(TASK, ttl=0.5), "use 1 s or more"),
        (replace(TASK, schedule=Schedule("ns.t.default.0.actor.b", at=0.0)), "would never fire"),
        (scheduled(Schedule(TASK.subject)), "exactly one of at, every and cron"),
        (scheduled(Schedule(TASK.subject, at=0.0, every=1.0)), "exactly one of at, every and cron"),
        (scheduled(Schedule(TASK.subject, cron="0 0 * * * *")), "only the NATS transport fires"),
        (scheduled(Schedule(TASK.subject, every=0.5)), "use 1 s or more"),
        (scheduled(Schedule(HOLDER.subject, at=0.0)), "another subject of the task store"),
        (scheduled(Schedule("ns.r.origin.a", at=0.0)), "another subject of the task store"),
        (scheduled(Schedule("ns.t.default.0.actor.*", at=0.0)), "another subject of the task store"),
    ],
)
def test_a_refusal_names_the_subject_and_the_rule(publication: Publication, words: str) -> None:
    """Each objection says which message, and what would be accepted."""
    text = objection("ns", publication)
    assert text is not None
    assert words in text
    assert publication.subject in text


@pytest.mark.parametrize("token", [*"tsmjkx", *"rp", "d"])
def test_every_store_takes_its_subjects(token: str) -> None:
    """The second token decides."""
    assert objection("ns", replace(TASK, subject=f"ns.{token}.a.b")) is None


def test_headers_count() -> None:
    """The size is that of the wire: a frame, and a line for each header."""
    assert size_of(replace(TASK, body=b"12345")) == 5
    assert size_of(replace(TASK, body=b"12345", headers={"ab": "cde"})) == 5 + len("NATS/1.0\r\nab: cde\r\n\r\n")


@pytest.mark.anyio
async def test_a_refused_message_fails_for_good(actorq_memory: str) -> None:
    """The confirmation carries the text and the subject."""
    async with connect(ConnectionSettings(actorq_memory, "ns")) as transport:
        (answer,) = await transport.publish([replace(TASK, ttl=0.5)], timeout=5.0)
        assert isinstance(answer, Failed)
        assert (answer.permanent, answer.unknown, answer.error.subject) == (True, False, TASK.subject)


@pytest.mark.anyio
async def test_a_consumer_takes_tasks_only(actorq_memory: str) -> None:
    """A filter outside of the task store is a ConfigError."""
    async with connect(ConnectionSettings(actorq_memory, "ns")) as transport:
        with pytest.raises(ConfigError, match="not in the task store"):
            await transport.consume(ConsumerSpec("c", "ns.r.*.*", 30.0))


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("*.*.c", "a.b.c", True),
        ("*.*.c", "a.b.d", False),
    ],
)
def test_a_star_stands_for_one_token(pattern: str, subject: str, expected: object) -> None:
    """Filters match token by token."""
    assert matches(pattern, subject) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a.*", "*.b", True),
        ("a.*", "b.*", False),
        ("a.*", "a.*.c", False),
        ("a.b", "a.b", True),
        ("*.c", "a.*", True),
    ],
)
def test_filters_overlap_where_a_subject_matches_both(one: str, other: str, expected: object) -> None:
    """Overlap does not depend on the order."""
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected
