"""Options of actors and calls: normalised once, refused with their name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorq.errors import ActorqError, ConfigError, InvalidName, UsageError
from actorq.model.options import NO_LIMIT, NO_OPTIONS, SendOptions, send_options
from actorq.model.policy import Policy
from actorq.model.retry import Retry

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_defaults_of_an_actor() -> None:
    policy = Policy()
    assert (policy.queue, policy.concurrency, policy.threads, policy.timeout) == ("default", 16, 8, 600.0)
    assert (policy.retry.max_attempts, policy.retry.initial, policy.retry.factor, policy.retry.max) == (
        4,
        1.0,
        2.0,
        600.0,
    )
    assert policy.abandoned_limit == 8
    assert Policy(threads=3, max_abandoned=5).abandoned_limit == 5


def test_an_actor_takes_durations_as_people_write_them() -> None:
    policy = Policy().merged({"timeout": "30s", "result_ttl": timedelta(hours=1), "queue": "media"}, "actor 'a'")
    assert (policy.timeout, policy.result_ttl, policy.queue) == (30.0, 3600.0, "media")
    assert Policy().merged({"timeout": None}, "actor 'a'").timeout is None
    retry = Retry(initial="250ms", max=timedelta(minutes=1), no_retry=(ValueError,))
    assert (retry.initial, retry.max, retry.no_retry) == (0.25, 60.0, (ValueError,))
    assert Policy().merged({"retry": retry}, "actor 'a'").retry == retry


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"timeout": "soon"}, ConfigError, "actor 'a': timeout: "),
        ({"retry": 3}, UsageError, "actor 'a': retry is 3: use Retry"),
        ({"queue": "a b"}, InvalidName, "actor 'a': queue 'a b'"),
        ({"concurrency": 0}, ConfigError, "actor 'a': concurrency is 0: use a whole number, 1 or more"),
        ({"concurrency": "4"}, ConfigError, "actor 'a': concurrency is '4': use a whole number"),
        ({"threads": -1}, ConfigError, "actor 'a': threads is -1"),
        ({"threads": True}, ConfigError, "actor 'a': threads is True"),
        ({"max_abandoned": 1.5}, ConfigError, "actor 'a': max_abandoned is 1.5"),
        ({"global_concurrency": -1}, ConfigError, "actor 'a': global_concurrency is -1: use a whole number, 0 or more"),
        ({"unique": True}, UsageError, "actor 'a': the option 'unique' is not available in this version: leave it out"),
        ({"timelimit": 1}, UsageError, "actor 'a': unknown option 'timelimit'; known are "),
    ],
)
def test_a_wrong_option_of_an_actor_is_named(options: dict[str, object], kind: type[ActorqError], text: str) -> None:
    with pytest.raises(kind, match=text):
        Policy().merged(options, "actor 'a'")


@pytest.mark.parametrize(
    "values",
    [{"max_attempts": 0}, {"max_attempts": "3"}, {"factor": 0.5}, {"factor": "2"}, {"factor": float("nan")},
     {"initial": "x"}, {"max": -1}, {"no_retry": ValueError}, {"restart_on": (1,)}],
)  # fmt: skip
def test_a_wrong_retry_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"^retry\.{next(iter(values))}"):
        Retry(**values)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"queue": "q", "task_id": "my-id"}, SendOptions(queue="q", task_id="my-id")),
        ({"delay": "10s", "send_timeout": 3}, SendOptions(start=10.0, send_timeout=3.0)),
        ({"eta": MOMENT}, SendOptions(start=MOMENT)),
        ({"expires": "1m", "deadline": "1h"}, SendOptions(expires=60.0, deadline=3600.0)),
        ({"expires": MOMENT, "deadline": MOMENT}, SendOptions(expires=MOMENT, deadline=MOMENT)),
        ({"timeout": "5s"}, SendOptions(time_limit=5.0)),
        ({"timeout": None}, SendOptions(time_limit=NO_LIMIT)),
        ({"result_ttl": "1d", "ignore_result": True}, SendOptions(result_ttl=86_400.0, ignore_result=True)),
        ({"retry": Retry(max_attempts=2)}, SendOptions(retry=Retry(max_attempts=2))),
        ({"meta": {"user": 7}}, SendOptions(meta={"user": 7})),
        ({}, NO_OPTIONS),
    ],
)
def test_options_of_a_call(given: dict[str, Any], expected: SendOptions) -> None:
    assert send_options(given) == expected


def test_later_options_lie_over_earlier_ones() -> None:
    first = send_options({"delay": "10s", "queue": "q"})
    assert send_options({"delay": "1s"}, first) == SendOptions(start=1.0, queue="q")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"timeout": None}, {"timeout": 1}),
        ({"delay": 1}, {"eta": MOMENT}),
        ({"expires": 1}, {"expires": MOMENT}),
        ({"deadline": 1}, {"deadline": MOMENT}),
        ({"meta": {"a": 1}}, {"meta": {"b": 1}}),
    ],
)
def test_of_two_ways_to_say_the_same_the_later_wins(first: dict[str, Any], second: dict[str, Any]) -> None:
    for earlier, later in ((first, second), (second, first)):
        assert send_options(later, send_options(earlier)) == send_options(later)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"countdown": 5}, "options: unknown key 'countdown'; known are "),
        ({"eta": "tomorrow"}, "options: eta takes an aware datetime"),
        ({"eta": datetime(2026, 1, 1)}, "options: eta: .* has no time zone"),  # noqa: DTZ001
        ({"deadline": datetime(2026, 1, 1)}, "options: deadline: .* has no time zone"),  # noqa: DTZ001
        ({"delay": -1}, "options: delay: "),
        ({"delay": 1, "eta": MOMENT}, "options: delay and eta both say when .*: give one"),
        ({"retry": {"max_attempts": 2}}, r"options: retry is \{'max_attempts': 2\}: use Retry\(max_attempts=\.\.\.\)"),
        ({"meta": 5}, "options: meta is 5: use a dict"),
        ({"meta": {1: 2}}, "options: meta has the key 1: use text as keys"),
        ({"unique": True}, "options: 'unique' is not available in this version: leave it out"),
        ({"task_id": "a.b"}, "options: task_id 'a.b' is not a valid name"),
    ],
)
def test_a_wrong_option_of_a_call_is_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        send_options(given)
