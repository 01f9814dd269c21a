"""The table of the broker's error codes."""

from __future__ import annotations

import pytest

from actorq.errors import (
    ActorqError,
    BrokerUnavailable,
    ConfigError,
    DeliveryUnknown,
    PermissionDenied,
    StreamFull,
    TransportError,
)
from actorq.model.message import Failed, Refused
from actorq_nats.errors import ApiError, confirmation, denied, no_responders, not_confirmed, not_written, parse_denial

SUBJECT = "aq-test.t.default.0.actor.key"


def answer(code: int, status: int) -> ApiError:
    return ApiError(code, status, "some text", SUBJECT)


@pytest.mark.parametrize(("code", "status"), [(10071, 400), (10164, 400)])
def test_a_condition_that_does_not_hold_is_a_refusal(code: int, status: int) -> None:
    """Nothing failed: the answer is no."""
    assert confirmation(answer(code, status)) == Refused()


@pytest.mark.parametrize(
    ("code", "status", "kind", "permanent"),
    [
        (10023, 503, StreamFull, False),
        (10077, 503, StreamFull, False),
        (10047, 500, StreamFull, False),
        (10002, 400, StreamFull, False),
        (10008, 503, BrokerUnavailable, False),
        (10158, 409, BrokerUnavailable, False),
        (10167, 429, BrokerUnavailable, False),
        (10039, 503, BrokerUnavailable, False),
        (10165, 400, TransportError, True),
        (10189, 400, TransportError, True),
        (19999, 400, TransportError, True),
        (19999, 500, BrokerUnavailable, False),
    ],
)
def test_failed_publications(code: int, status: int, kind: type[ActorqError], permanent: bool) -> None:
    """Whatever the code: nothing was stored; only what the message itself is to blame for is permanent."""
    failed = confirmation(answer(code, status))
    assert isinstance(failed, Failed)
    assert type(failed.error) is kind
    assert (failed.permanent, failed.unknown) == (permanent, False)
    assert failed.error.subject == SUBJECT
    assert f"some text ({code})" in str(failed.error)


@pytest.mark.parametrize("code", [10039, 10074, 10026])
def test_a_setup_that_cannot_work_is_a_config_error(code: int) -> None:
    """Where it is about the broker's configuration, not about one message."""
    assert isinstance(answer(code, 503).translated(), ConfigError)


def test_streams_that_are_gone_are_named_by_their_system() -> None:
    """Whatever was asked of them."""
    error = ApiError(10059, 404, "stream not found", "$JS.API.CONSUMER.INFO.aq-shop_tasks.default~0~add").translated()
    assert type(error) is TransportError
    assert str(error).startswith("the streams of 'shop' are gone: ")


def test_what_is_known_without_an_answer() -> None:
    """Written and unanswered is unknown; not written, or nobody there, is surely not stored."""
    assert no_responders(SUBJECT).unknown is False
    assert isinstance(no_responders(SUBJECT).error, BrokerUnavailable)
    assert not_written(SUBJECT, "why").unknown is False
    assert isinstance(not_written(SUBJECT, "why").error, BrokerUnavailable)
    assert not_confirmed(SUBJECT, "why").unknown is True
    assert isinstance(not_confirmed(SUBJECT, "why").error, DeliveryUnknown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('nats: permissions violation for publish to "aq-x.t.a"', ("publish", "aq-x.t.a")),
        ("nats: 'Permissions Violation for Subscription to \"aq-x.>\"'", ("subscription", "aq-x.>")),
        ('permissions violation for subscription to "a" using queue "q"', ("subscription", "a")),
        ("nats: maximum connections exceeded", None),
    ],
)
def test_denials_are_read_from_the_text(text: str, expected: tuple[str, str] | None) -> None:
    """nats-py passes on a text in lower case and no more."""
    assert parse_denial(text) == expected


def test_a_denial_names_user_and_subject() -> None:
    """So that an operator knows what to allow to whom."""
    error = denied("subscription", "aq-x.>", "user 'web'")
    assert isinstance(error, PermissionDenied)
    assert "user 'web' may not subscribe to aq-x.>" in str(error)
