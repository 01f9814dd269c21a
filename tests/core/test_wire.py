"""Wire values as bytes: nothing changes on the way, and no bytes do harm."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.values import CONTAINERS, MAX_DEPTH, to_wire
from actorq.core.wire import MAX_BODY, MAX_CONTAINERS, Undecodable, count_containers, pack, too_many, unpack
from tests.core.strategies import wire_values


@given(wire_values)
def test_every_wire_value_comes_back_as_itself(value: Any) -> None:
    back = unpack(pack(value))
    assert back == value
    assert pack(back) == pack(value)  # the bytes tell 1 from True from 1.0, and a tuple from a list


@given(wire_values)
def test_a_wire_value_is_its_own_wire_value(value: Any) -> None:
    assert pack(to_wire(value)) == pack(value)


@given(wire_values)
def test_containers_are_counted_without_decoding(value: Any) -> None:
    def held(part: Any) -> int:
        if type(part) not in CONTAINERS:
            return 0
        inner: list[Any] = [*part, *(part.values() if type(part) is dict else ())]
        return 1 + sum(map(held, inner))

    assert count_containers(pack(value)) == held(value)


@given(st.binary(max_size=300))
def test_random_bytes_are_undecodable_or_a_wire_value(body: bytes) -> None:
    try:
        value = unpack(body)
    except Undecodable as error:
        assert str(error)  # noqa: PT017
    else:
        pack(value)


def test_equal_sets_are_equal_bytes_in_every_process() -> None:
    """Ids of what a handler sends are derived from the bytes of its arguments (C-2)."""
    code = "from actorq.core.wire import pack; print(pack({'a', 'bb', 'ccc', 1, (2, 'x'), None}).hex())"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_a_timestamp_of_another_client_is_an_aware_datetime() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert unpack(msgpack.packb(moment, datetime=True)) == moment


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "truncated"),
        (b"\xc1", "opcode"),
        (b"\x80\x80", "trailing"),
        (b"\xa1\xff", "utf-8"),
        (b"\x81\x80\x80", "hashable"),
        (msgpack.packb(msgpack.ExtType(99, b"x")), "unknown extension type 99"),
        (msgpack.packb(msgpack.ExtType(1, b"2026-01-01T00:00:00")), "without a time zone"),
        (msgpack.packb(msgpack.ExtType(2, b"yesterday")), "isoformat"),
        (msgpack.packb(msgpack.ExtType(4, b"\x91\x01")), "unpack"),
        (msgpack.packb(msgpack.ExtType(4, b"\x93\xcb\x7f\xef\xff\xff\xff\xff\xff\xff\x00\x00")), "int"),
        (msgpack.packb(msgpack.ExtType(5, b"one")), "ConversionSyntax"),
        (msgpack.packb(msgpack.ExtType(6, b"short")), "16"),
        (msgpack.packb(msgpack.ExtType(7, b"\x91\x80")), "unhashable"),
        (msgpack.packb(msgpack.ExtType(9, b"\x80")), "not made of a list"),
        (msgpack.packb(bytes(MAX_BODY)), "more than the 1,048,576"),
    ],
)
def test_what_cannot_be_decoded_says_why(body: bytes, text: str) -> None:
    with pytest.raises(Undecodable, match=text):
        unpack(body)


def nested(levels: int) -> Any:
    value: Any = 1
    for i in range(levels):
        value = [value] if i % 3 else (value,) if i % 2 else {"a": value}
    return value


def test_depth_is_limited() -> None:
    assert unpack(pack(to_wire(nested(MAX_DEPTH))))
    with pytest.raises(TypeError, match="at most 64 levels"):
        to_wire(nested(MAX_DEPTH + 1))
    with pytest.raises(Undecodable, match="deeper than 64 levels"):
        unpack(pack(nested(MAX_DEPTH * 2)))


@pytest.mark.parametrize("body", [b"\x91" * 500_000, b"\xdd\x7f\xff\xff\xff" * 100_000, b"\x81\xa0" * 400_000])
def test_a_forged_nesting_is_undecodable_and_costs_no_memory(body: bytes) -> None:
    assert_cheap(body)


def test_extensions_nested_in_extensions_do_not_overflow_the_stack_of_a_thread() -> None:
    body = b"\x90"
    while len(body) < MAX_BODY // 4:
        body = b"\xc9" + (len(body) + 1).to_bytes(4, "big") + b"\x09\x91" + body
    thread = threading.Thread(target=assert_cheap, args=(body,))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "item",
    [b"\x80", b"\x90", b"\x81\xa1a\x01", b"\xd4\x09\x90", b"\xd5\x07\x91\x01", b"\xc7\x01\x08\x90"],
    ids=["map", "list", "small map", "tuple", "set", "frozenset"],
)
def test_a_body_full_of_small_containers_is_refused_before_it_is_decoded(item: bytes) -> None:
    count = (MAX_BODY - 5) // len(item)
    assert_cheap(b"\xdd" + count.to_bytes(4, "big") + item * count)


def assert_cheap(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            unpack(body)
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_bytes_and_text_that_look_like_containers_are_not_counted() -> None:
    """A photograph or a Cyrillic book has as many such bytes as a body full of maps."""
    for value in (bytes(range(128, 160)) * 20_000, "привет " * 40_000, [b"\x80" * 60_000] * 10):
        assert not too_many(pack(value))
        assert unpack(pack(value)) == value


def test_the_most_containers_that_may_be() -> None:
    assert len(unpack(pack([[]] * (MAX_CONTAINERS - 1)))) == MAX_CONTAINERS - 1
    assert too_many(pack([[]] * MAX_CONTAINERS))


@pytest.mark.parametrize("value", [object(), 1j, range(3), datetime(2026, 1, 1), int])  # noqa: DTZ001
def test_only_wire_values_are_packed(value: object) -> None:
    with pytest.raises((TypeError, Undecodable)):
        unpack(pack([value]))
