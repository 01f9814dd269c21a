"""Envelopes, records and dead letters as bytes (C-1, D-1, F-3, B-6)."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actorq.core.codec import (
    Undecodable,
    decode_dead,
    decode_envelope,
    decode_record,
    encode_dead,
    encode_envelope,
    encode_record,
    headers_of,
    pack,
    unpack,
)
from actorq.core.size import MAX_BYTES
from actorq.core.wire import MAX_BODY, MAX_CONTAINERS
from actorq.errors import PayloadTooLarge
from actorq.model.envelope import DeadLetter, Envelope, ErrorInfo, Record
from actorq.model.retry import Retry
from tests.core.strategies import dead_letters, envelopes, records, wire_values


@given(envelopes)
def test_an_envelope_comes_back_as_it_was(envelope: Envelope) -> None:
    back = decode_envelope(encode_envelope(envelope))
    assert back == replace(envelope, root=envelope.root or envelope.id)
    assert encode_envelope(back) == encode_envelope(envelope)


@given(records)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


@given(dead_letters)
def test_a_dead_letter_comes_back_as_it_was(letter: DeadLetter) -> None:
    assert decode_dead(encode_dead(letter)) == letter


def test_the_keys_are_those_of_the_contract() -> None:
    everything = Envelope(
        id="i", to="a.m", root="r", parent="p", args=(1,), kwargs={"b": 2}, attempt=2, generation=1, repeat=True,
        leases_lost=3, expires=1.0, deadline=2.0, time_limit=3.0, retry=Retry(no_retry=("E",)), reply="slot",
        frames=(["then"],), trace={"t": "x"}, meta={"m": 1}, extra={"later": 1},
    )  # fmt: skip
    assert unpack(encode_envelope(everything)) == {
        "v": 1, "id": "i", "to": "a.m", "root": "r", "parent": "p", "a": [1], "kw": {"b": 2}, "n": 2, "g": 1,
        "re": True, "ll": 3, "ex": 1.0, "dl": 2.0, "tl": 3.0, "rp": [4, 1.0, 2.0, 600.0, True, ["E"], []],
        "rt": "slot", "k": [["then"]], "tp": {"t": "x"}, "m": {"m": 1}, "later": 1,
    }  # fmt: skip


def test_defaults_are_left_out() -> None:
    assert unpack(encode_envelope(Envelope(id="i", root="i", to="a"))) == {"v": 1, "id": "i", "to": "a"}
    assert unpack(encode_record(Record(id="i", state="succeeded"))) == {
        "v": 1,
        "id": "i",
        "state": "succeeded",
        "at": 0.0,
    }


def test_a_receiver_keeps_keys_that_it_does_not_know() -> None:
    body = pack({"v": 1, "id": "i", "to": "a", "zz": [1, (2,)]})
    assert unpack(encode_envelope(replace(decode_envelope(body), attempt=2)))["zz"] == [1, (2,)]


def test_unknown_keys_in_an_error_are_ignored() -> None:
    error = {"type_name": "E", "message": "m", "zz": 1}
    record = decode_record(pack({"v": 1, "id": "i", "state": "failed", "error": error}))
    assert record.error == ErrorInfo(type_name="E", message="m")


GOOD = {"v": 1, "id": "i", "to": "a"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"v": 2}, "has version 2, this program reads up to 1: upgrade actorq"),
        ({"v": None}, "no version"),
        ({"v": True}, "no version"),
        ({"v": 0}, "no version"),
        ({"id": ""}, "'id': not a token"),
        ({"id": "x" * 65}, "'id': not a token"),
        ({"id": "a.b"}, "'id': not a token"),
        ({"id": "a\n"}, "'id': not a token"),
        ({"id": 1}, "'id': not a token"),
        ({"root": "*"}, "'root': not a token"),
        ({"parent": ">"}, "'parent': not a token"),
        ({"to": "a.b.c"}, "'to': not an actor"),
        ({"to": "a b"}, "'to': not an actor"),
        ({"a": (1,)}, "'a': not a list"),
        ({"a": {}}, "'a': not a list"),
        ({"kw": {1: 2}}, "'kw': not a map with text"),
        ({"kw": []}, "'kw': not a map with text"),
        ({"n": 0}, "'n': not a number from 1"),
        ({"n": 1.0}, "'n': not a number from 1"),
        ({"n": True}, "'n': not a number from 1"),
        ({"g": -1}, "'g': not a count"),
        ({"ll": 2**31}, "'ll': not a count"),
        ({"re": 1}, "'re': not true or false"),
        ({"dl": "soon"}, "'dl': not a number"),
        ({"ex": float("nan")}, "'ex': not a number"),
        ({"tl": float("inf")}, "'tl': not a number"),
        ({"tl": 2**64}, "'tl': not a number"),
        ({"rp": None}, "'rp': not a list"),
        ({"rt": []}, "'rt': not a number"),
        ({"k": "then"}, "'k': not a list"),
        ({"tp": {"a": 1}}, "'tp': not a map of text"),
        ({"m": None}, "'m': not a map"),
        ({5: 5}, "a key that is not text"),
    ],
)
def test_what_is_wrong_with_an_envelope_is_said(change: dict[Any, Any], text: str) -> None:
    with pytest.raises(Undecodable, match=text):
        decode_envelope(pack(GOOD | change))


@pytest.mark.parametrize(
    "policy",
    [
        [],
        [4, 1.0, 2.0, 600.0, True, []],
        [0, 1.0, 2.0, 600.0, True, [], []],
        [4, -1.0, 2.0, 600.0, True, [], []],
        [4, 1.0, 10**400, 600.0, True, [], []],
        [4, 1.0, 2.0, math.inf, True, [], []],
        [4, 1.0, 2.0, 600.0, 1, [], []],
        [4, 1.0, 2.0, 600.0, True, ["a b"], []],
        [4, 1.0, 2.0, 600.0, True, [], [5]],
    ],
)
def test_what_is_no_retry_policy_is_undecodable(policy: list[Any]) -> None:
    with pytest.raises(Undecodable, match="'rp': not a retry policy"):
        decode_envelope(pack(GOOD | {"rp": policy}))


@pytest.mark.parametrize("key", ["id", "to"])
def test_an_envelope_needs_an_id_and_an_address(key: str) -> None:
    with pytest.raises(Undecodable, match=f"no key '{key}'"):
        decode_envelope(pack({name: value for name, value in GOOD.items() if name != key}))


@pytest.mark.parametrize("value", [None, 1, "text", [], {1: 2}, b""])
def test_what_is_no_map_of_ours_is_undecodable(value: Any) -> None:
    for decode in (decode_envelope, decode_record, decode_dead):
        with pytest.raises(Undecodable):
            decode(pack(value))


@pytest.mark.parametrize(
    "change",
    [{"state": "done"}, {"state": 1}, {"error": {}}, {"error": []}, {"error": {"type_name": 1, "message": ""}},
     {"error": {"type_name": "", "message": "", "attempts": "1"}}, {"n": -1}, {"at": "now"}, {"worker": 1}],
)  # fmt: skip
def test_a_wrong_record_is_undecodable(change: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        decode_record(pack({"v": 1, "id": "i", "state": "failed"} | change))


# ---- sizes


def test_a_message_of_the_largest_size_can_be_decoded_again_after_it_was_re_issued() -> None:
    envelope = Envelope(id="i", to="a", args=(bytes(MAX_BYTES - 20),))
    again = replace(envelope, repeat=True, leases_lost=9, attempt=9)
    assert decode_envelope(encode_envelope(again)).args == envelope.args
    letter = DeadLetter(
        id="i", actor="a", queue="q", reason="x", envelope=encode_envelope(again), traceback="x" * 20_000
    )
    assert decode_dead(encode_dead(letter)) == letter


def test_more_containers_than_a_receiver_takes_are_refused_when_sent() -> None:
    with pytest.raises(PayloadTooLarge, match=r"the message to 'a' holds more than 65,536 lists and maps: store"):
        encode_envelope(Envelope(id="i", to="a", args=([[1]] * MAX_CONTAINERS,)))
    with pytest.raises(PayloadTooLarge, match="the result of task 'i'"):
        encode_record(Record(id="i", state="succeeded", value=[{}] * MAX_CONTAINERS))


def test_a_body_beyond_the_limit_is_not_looked_at() -> None:
    with pytest.raises(Undecodable, match="more than the 1,048,576 that are decoded"):
        decode_envelope(encode_envelope(Envelope(id="i", to="a", args=(bytes(MAX_BODY),))))


# ---- fuzz


WAYS: list[tuple[Any, Any]] = [
    (decode_envelope, encode_envelope),
    (decode_record, encode_record),
    (decode_dead, encode_dead),
]


def assert_harmless(body: bytes) -> None:
    """Only Undecodable; and what was read can be sent on."""
    for decode, encode in WAYS:
        try:
            value = decode(body)
        except Undecodable as error:
            assert str(error)  # noqa: PT017
        else:
            encode(value)


@given(envelopes | records | dead_letters, st.data())
def test_a_damaged_message_is_undecodable_or_another_message(value: Any, data: st.DataObject) -> None:
    encode: Any = {Envelope: encode_envelope, Record: encode_record, DeadLetter: encode_dead}[type(value)]
    body = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not body:
            break
    assert_harmless(bytes(body))


@given(st.dictionaries(st.sampled_from(["v", "id", "to", "a", "kw", "n", "g", "rt", "k", "m", "error"]), wire_values))
def test_a_map_with_any_values_is_undecodable_or_a_message(wire: dict[str, Any]) -> None:
    assert_harmless(pack(GOOD | {"state": "failed"} | wire))
    assert_harmless(pack(wire | {"v": 1}))


def seeds() -> list[bytes]:
    values = (
        1,
        "text",
        [1.5, {"a": (1, {2})}],
        datetime(2026, 1, 1, tzinfo=UTC),
        date(2026, 1, 1),
        Decimal("1.5"),
        b"\0",
    )
    error = ErrorInfo(type_name="ValueError", message="bad", args=(1,))
    return [
        encode_envelope(Envelope(id="i", to="add", args=values, kwargs={"x": values}, retry=Retry(), trace={"t": "p"})),
        encode_record(Record(id="i", state="failed", value=list(values), error=error, at=1.7e9)),
        encode_dead(DeadLetter(id="i", actor="add", queue="q", reason="rejected", at=1.7e9, envelope=b"x")),
    ]


def fuzz(count: int, seed: int) -> None:
    chance, bodies = random.Random(seed), seeds()
    for _ in range(count):
        body = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            match chance.randrange(3):
                case 0:
                    body[at] = chance.randrange(256)
                case 1:
                    body[at:at] = chance.randbytes(chance.randint(1, 5))
                case _:
                    del body[at : at + chance.randint(1, 3)]
                    body = body or bytearray(b"\0")
        assert_harmless(bytes(body))


def test_twenty_thousand_mutated_messages_do_no_harm() -> None:
    fuzz(20_000, seed=1)


@pytest.mark.slow
def test_a_million_mutated_messages_do_no_harm() -> None:
    fuzz(1_000_000, seed=random.SystemRandom().randrange(2**32))


# ---- headers


def test_a_first_send_has_only_the_version_as_header() -> None:
    assert dict(headers_of(Envelope(id="i", root="i", to="a", reply=60.0))) == {"Aq-Version": "1"}


def test_other_control_fields_ride_as_headers() -> None:
    envelope = Envelope(
        id="i", to="a.m", root="r", attempt=2, generation=1, repeat=True, leases_lost=1, expires=1.5, deadline=2.5
    )
    assert headers_of(envelope) == {
        "Aq-Version": "1", "Aq-To": "a.m", "Aq-Root": "r", "Aq-Attempt": "2", "Aq-Generation": "1", "Aq-Repeat": "1",
        "Aq-Leases-Lost": "1", "Aq-Expires": "1.5", "Aq-Deadline": "2.5",
    }  # fmt: skip


@given(envelopes)
def test_headers_are_text_on_one_line(envelope: Envelope) -> None:
    assert all(value.isascii() and value.isprintable() for value in headers_of(envelope).values())
