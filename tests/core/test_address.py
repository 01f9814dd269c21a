"""Names and subjects (B-1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.errors import InvalidName
from actorq.model.address import NAME_RULE, Mailbox, Namespace, parse_address, parse_subject, token
from tests.core.strategies import tokens

mailboxes = st.builds(Mailbox, queue=tokens, lane=st.integers(0, 9), actor=tokens)
namespaces = st.builds(Namespace.of, st.text("abcXYZ019_-", min_size=1, max_size=61))


@given(tokens)
def test_tokens(name: str) -> None:
    assert token(name, "actor") == name


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", ">", "é", "a\n", "x" * 65, None, 1, b"a"])
def test_what_is_no_token_is_refused_with_the_rule(name: object) -> None:
    with pytest.raises(InvalidName) as caught:
        token(name, "queue")
    assert str(caught.value) == f"queue {name!r} is not a valid name: use {NAME_RULE}"
    assert caught.value.name == name


@given(st.text(max_size=70))
def test_a_token_is_one_token_of_a_subject(name: str) -> None:
    try:
        token(name, "x")
    except InvalidName:
        return
    assert len(name.split(".")) == 1
    assert not set(name) & set(" *>\t\r\n")


@given(tokens, tokens)
def test_addresses(actor: str, method: str) -> None:
    assert parse_address(actor) == (actor, None)
    assert parse_address(f"{actor}.{method}") == (actor, method)


@pytest.mark.parametrize("to", ["", ".", "a.", ".b", "a.b.c", "a b", "a.*", "a\n"])
def test_what_is_no_address_is_refused(to: str) -> None:
    with pytest.raises(InvalidName):
        parse_address(to)


@given(namespaces, mailboxes, tokens)
def test_subjects_lead_back_to_what_they_were_made_of(namespace: Namespace, mailbox: Mailbox, key: str) -> None:
    assert parse_subject(namespace.task(mailbox, key)) == ("t", mailbox, key)
    assert parse_subject(namespace.schedule(mailbox, key)) == ("s", mailbox, key)
    assert parse_subject(namespace.register(mailbox)) == ("m", mailbox, "")
    assert mailbox.consumer == f"{mailbox.queue}~{mailbox.lane}~{mailbox.actor}"


@given(namespaces, mailboxes, tokens, tokens)
def test_filters_match_their_subjects_and_no_others(
    namespace: Namespace, mailbox: Mailbox, key: str, other: str
) -> None:
    task, schedule = namespace.task(mailbox, key), namespace.schedule(mailbox, key)
    assert matches(namespace.inbox(mailbox), task)
    assert not matches(namespace.inbox(mailbox), schedule)
    for actor in (mailbox.actor, "*"):
        assert matches(namespace.copies(actor, key), task)
        assert matches(namespace.copies(actor, key), schedule)
        assert matches(namespace.copies(actor, other), task) == (key == other)
        assert not matches(namespace.copies(actor, key), namespace.register(mailbox))
        assert matches(namespace.registers(actor), namespace.register(mailbox))
        assert not matches(namespace.registers(actor), task)
    assert matches(namespace.wake("o"), namespace.wake("o", key))


def matches(pattern: str, subject: str) -> bool:
    tokens_, given_ = pattern.split("."), subject.split(".")
    return len(tokens_) == len(given_) and all(p in ("*", s) for p, s in zip(tokens_, given_, strict=True))


@given(tokens, tokens, tokens)
def test_a_result_and_its_announcement_share_their_last_tokens(name: str, origin: str, task_id: str) -> None:
    namespace = Namespace.of(name[:61])
    assert namespace.result(origin, task_id).split(".r.")[1] == namespace.wake(origin, task_id).split(".n.")[1]
    assert parse_subject(namespace.result(origin, task_id)) is None
    assert parse_subject(namespace.dead("q", "a", task_id)) is None


@pytest.mark.parametrize(
    "subject", ["", "a.t", "a.t.q.x.a.k", "a.t.q.0.a", "a.x.q.0.a.k", "a.m.q.0.a.k", "a.t.q.-1.a.k"]
)
def test_other_subjects_are_nothing(subject: str) -> None:
    assert parse_subject(subject) is None


def test_a_namespace_is_named_after_its_system() -> None:
    assert Namespace.of("shop").prefix == "aq-shop"
    with pytest.raises(InvalidName, match="has 62 characters: use at most 61"):
        Namespace.of("x" * 62)
    with pytest.raises(InvalidName, match="system name"):
        Namespace.of("my shop")
