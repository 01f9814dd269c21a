"""What the broker has to hold, and how what it holds is judged. No broker here."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from actorq.model.message import ConsumerSpec, StreamSettings
from actorq_nats.topology import (
    Kind,
    advised,
    judge_consumer,
    judge_stream,
    kind_of,
    overlap_problem,
    overlaps,
    server_version,
    told_changes,
    wanted_consumer,
    wanted_streams,
)

DEFAULTS = StreamSettings()
SPEC = ConsumerSpec("default~0~actor", "aq-test.t.default.0.actor.*", 30.0)


def found(kind: Kind, settings: StreamSettings = DEFAULTS, **different: Any) -> dict[str, Any]:
    """A stream as the server shows it: what was asked for, and defaults of its own."""
    return {**wanted_streams("aq-test", settings)[kind], "max_msg_size": -1, "compression": "none", **different}


def problems(kind: Kind, **different: Any) -> str:
    verdict = judge_stream(kind, found(kind, **different), wanted_streams("aq-test", DEFAULTS)[kind], DEFAULTS)
    assert verdict.changes == {}
    return "; ".join(verdict.problems)


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        *((f"aq-test.{letter}.x", Kind.TASKS) for letter in "tsmjkx"),
        *((f"aq-test.{letter}.x", Kind.RESULTS) for letter in "rp"),
        ("aq-test.d.x", Kind.DEAD),
        ("aq-test.*.*.*.actor.key", Kind.TASKS),
        ("aq-test.n.x", None),
        ("aq-test.e.x", None),
        ("aq-test.t", None),
        ("aq-else.t.x", None),
    ],
)
def test_the_second_token_says_which_store(subject: str, kind: Kind | None) -> None:
    """As the port has it."""
    assert kind_of("aq-test", subject) is kind


def test_streams_are_named_after_the_namespace() -> None:
    """Names that the nats CLI shows and documents may quote."""
    assert [stream["name"] for stream in wanted_streams("aq-shop", DEFAULTS).values()] == [
        "aq-shop_tasks",
        "aq-shop_results",
        "aq-shop_dead",
    ]


@pytest.mark.parametrize("kind", Kind)
def test_what_was_made_is_found_good(kind: Kind) -> None:
    """Nothing is wrong with a stream of our own, nor with one that takes more subjects and fewer consumers."""
    assert problems(kind) == ""
    more = [*found(kind)["subjects"], "aq-test.z.>"]
    assert problems(kind, subjects=more, max_consumers=10) == ""


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (Kind.TASKS, "max_msgs", 100),
        (Kind.TASKS, "max_bytes", 1_000),
        (Kind.TASKS, "max_age", 3_600 * 10**9),
        (Kind.TASKS, "retention", "limits"),
        (Kind.TASKS, "storage", "memory"),
        (Kind.TASKS, "allow_msg_schedules", False),
        (Kind.TASKS, "allow_msg_ttl", None),
        (Kind.TASKS, "subjects", ["aq-test.t.>"]),
        (Kind.TASKS, "republish", None),
        (Kind.TASKS, "max_msgs_per_subject", 1),
        (Kind.RESULTS, "max_msgs_per_subject", -1),
        (Kind.RESULTS, "max_age", 3_600 * 10**9),
        (Kind.RESULTS, "republish", {"src": "aq-test.r.>", "dest": "elsewhere.>"}),
        (Kind.DEAD, "retention", "workqueue"),
    ],
)
def test_what_does_not_fit_is_named(kind: Kind, key: str, value: object) -> None:
    """Stream, key, what is found and what is needed are in the one line about it."""
    told = problems(kind, **{key: value})
    wanted = found(kind)[key]
    have, needed = ("1 h", "0 s") if key == "max_age" else (repr(value), repr(wanted))
    for part in (f"stream {found(kind)['name']}", f"{key} is {have}", f"needed is {needed}"):
        assert part in told
    assert ";" not in told


@pytest.mark.parametrize("key", ["sealed", "no_ack", "deny_delete", "mirror", "subject_transform"])
def test_what_must_not_be_set(key: str) -> None:
    """Features that would break promises are named."""
    assert f"stream aq-test_tasks: {key} is set" in problems(Kind.TASKS, **{key: {"name": "x"}})


def test_what_to_do_is_said_once() -> None:
    """A limit has an advice of its own."""
    stream = found(Kind.TASKS, max_msgs=1, storage="memory", retention="limits")
    verdict = judge_stream(Kind.TASKS, stream, wanted_streams("aq-test", DEFAULTS)[Kind.TASKS], DEFAULTS)
    told = "\n".join(advised(verdict.problems))
    assert told.count("remove the limit") == told.count("nats CLI") == 1
    assert advised(["a: b is 1, needed is 2", "stream x does not exist: make it"])[0].endswith("let actorq make them")
    assert advised([]) == ()


def test_changes_are_told_in_words() -> None:
    """No number of nanoseconds is for reading."""
    changes = {"ack_wait": 10 * 10**9, "max_ack_pending": 5, "duplicate_window": 90 * 10**9}
    assert told_changes({"ack_wait": 30 * 10**9, "max_ack_pending": -1, "duplicate_window": 120 * 10**9}, changes) == (
        "lease from 30 s to 10 s, limit of messages held from -1 to 5, duplicate_window from 2 min to 90 s"
    )


def test_dead_letters_may_be_limited() -> None:
    """An operator may bound what is only kept for people."""
    assert problems(Kind.DEAD, max_bytes=1_000_000, max_msgs=5_000) == ""


def test_settings_that_were_chosen_change_a_stream() -> None:
    """What differs from a setting that somebody set is to be updated, and nothing else."""
    chosen = StreamSettings(replicas=3, duplicate_window=60.0, dead_ttl=3_600.0)
    wanted = wanted_streams("aq-test", chosen)
    second = 1_000_000_000
    changes = {kind: dict(judge_stream(kind, found(kind), wanted[kind], chosen).changes) for kind in Kind}
    assert changes[Kind.TASKS] == changes[Kind.RESULTS] == {"num_replicas": 3, "duplicate_window": 60 * second}
    assert changes[Kind.DEAD] == {"num_replicas": 3, "duplicate_window": 60 * second, "max_age": 3_600 * second}


def test_defaults_overrule_nobody() -> None:
    """A client without settings does not take away the replicas that somebody else has chosen."""
    assert problems(Kind.TASKS, num_replicas=3, duplicate_window=7) == ""
    assert problems(Kind.DEAD, max_age=7) == ""


def test_a_consumer_of_our_own_is_found_good() -> None:
    """Whatever the server adds to it."""
    verdict = judge_consumer("s", {**wanted_consumer(SPEC), "replay_policy": "instant", "max_waiting": 512}, SPEC)
    assert (verdict.problems, verdict.changes) == ((), {})


def test_live_keys_of_a_consumer_are_changed() -> None:
    """Lease, limit and idle time can be changed in use."""
    other = ConsumerSpec(SPEC.name, SPEC.filter, 60.0, max_held=5, idle=60.0)
    verdict = judge_consumer("s", wanted_consumer(SPEC), other)
    second = 1_000_000_000
    assert verdict.problems == ()
    assert verdict.changes == {"ack_wait": 60 * second, "max_ack_pending": 5, "inactive_threshold": 60 * second}


def test_another_filter_is_a_problem() -> None:
    """It names the consumer and both filters."""
    other = ConsumerSpec(SPEC.name, "aq-test.t.default.0.else.*", 30.0)
    (told,) = judge_consumer("s", wanted_consumer(SPEC), other).problems
    for part in (SPEC.name, SPEC.filter, other.filter):
        assert part in told


def matches(filter_: str, subject: tuple[str, ...]) -> bool:
    tokens = filter_.split(".")
    if tokens[-1] == ">":
        return len(subject) >= len(tokens) and all(t in ("*", s) for t, s in zip(tokens[:-1], subject, strict=False))
    return len(tokens) == len(subject) and all(t in ("*", s) for t, s in zip(tokens, subject, strict=True))


def test_overlap_is_what_two_filters_share() -> None:
    """Compared with every subject of up to three tokens that there can be."""
    subjects = [subject for size in (1, 2, 3) for subject in product("abc", repeat=size)]
    filters = [".".join(tokens) for size in (1, 2, 3) for tokens in product("ab*", repeat=size)]
    filters += [f"{head}.>" for head in ("a", "*", "a.b", "b.*")] + [">"]
    for one, other in product(filters, repeat=2):
        shared = any(matches(one, subject) and matches(other, subject) for subject in subjects)
        assert overlaps(one, other) == shared, (one, other)


def test_an_overlap_is_told_by_actor() -> None:
    """As semantics B-4 wants it."""
    told = overlap_problem(SPEC, "mine", "aq-test.t.*.*.actor.*")
    assert "actor actor already has consumer mine with filter aq-test.t.*.*.actor.*" in told


@pytest.mark.parametrize(
    ("text", "expected"), [("2.15.1", (2, 15, 1)), ("2.14.0-beta.2", (2, 14, 0)), ("weird", ()), ("", ())]
)
def test_server_versions(text: str, expected: tuple[int, ...]) -> None:
    """Numbers that compare; nothing for what is no version."""
    assert server_version(text) == expected
