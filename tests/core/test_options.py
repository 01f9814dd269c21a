"""Options of actors and calls: normalised once, refused with their name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorq.errors import ActorqError, ConfigError, InvalidName, UsageError
from actorq.model.options import NO_OPTIONS, Policy, Retry, SendOptions, send_options

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
        ({"retry": 3}, UsageError, "retry takes Retry"),
        ({"queue": "a b"}, InvalidName, "queue 'a b'"),
        ({"concurrency": 0}, ConfigError, "concurrency is 0: use 1 or more"),
        ({"threads": -1}, ConfigError, "threads is -1"),
        ({"global_concurrency": -1}, ConfigError, "global_concurrency is -1"),
        ({"timelimit": 1}, UsageError, "actor 'a': unknown option 'timelimit'; known are "),
    ],
)
def test_a_wrong_option_of_an_actor_is_named(options: dict[str, object], kind: type[ActorqError], text: str) -> None:
    with pytest.raises(kind, match=text):
        Policy().merged(options, "actor 'a'")


@pytest.mark.parametrize("values", [{"max_attempts": 0}, {"factor": 0.5}, {"initial": "x"}, {"max": -1}])
def test_a_wrong_retry_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^retry\.\w+"):
        Retry(**values)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"queue": "q", "task_id": "my-id"}, SendOptions(queue="q", task_id="my-id")),
        ({"delay": "10s", "send_timeout": 3}, SendOptions(delay=10.0, send_timeout=3.0)),
        ({"eta": MOMENT}, SendOptions(eta=MOMENT.timestamp())),
        ({"expires": "1m", "deadline": "1h"}, SendOptions(expires=60.0, deadline=3600.0)),
        (
            {"expires": MOMENT, "deadline": MOMENT},
            SendOptions(expires_at=MOMENT.timestamp(), deadline_at=MOMENT.timestamp()),
        ),
        ({"timeout": "5s"}, SendOptions(time_limit=5.0)),
        ({"timeout": None}, SendOptions(unlimited=True)),
        ({"result_ttl": "1d", "ignore_result": True}, SendOptions(result_ttl=86_400.0, ignore_result=True)),
        ({"meta": {"user": 7}}, SendOptions(meta={"user": 7})),
        ({}, NO_OPTIONS),
    ],
)
def test_options_of_a_call(given: dict[str, Any], expected: SendOptions) -> None:
    assert send_options(given) == expected


def test_later_options_lie_over_earlier_ones() -> None:
    first = send_options({"delay": "10s", "queue": "q"})
    assert send_options({"delay": "1s"}, first) == SendOptions(delay=1.0, queue="q")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"countdown": 5}, "options: unknown key 'countdown'; known are "),
        ({"eta": "tomorrow"}, "options: eta takes an aware datetime"),
        ({"eta": datetime(2026, 1, 1)}, "options: eta: .* has no time zone"),  # noqa: DTZ001
        ({"deadline": datetime(2026, 1, 1)}, "options: deadline: .* has no time zone"),  # noqa: DTZ001
        ({"delay": -1}, "options: delay: "),
        ({"task_id": "a.b"}, "options: task_id 'a.b' is not a valid name"),
    ],
)
def test_a_wrong_option_of_a_call_is_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        send_options(given)
