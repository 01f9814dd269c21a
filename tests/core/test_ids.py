"""Task ids: sortable by time, routable by origin, the same whenever derived again (B-1, C-2)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.ids import (
    TAIL_BITS,
    USER_ORIGIN,
    derive_id,
    key_of,
    made_at,
    make_id,
    make_origin,
    origin_of,
    random_origin,
)
from actorq.model.address import token
from tests.core.strategies import tokens

times = st.floats(1_000_000_000, 4_000_000_000)
entropies = st.integers(0, 2**TAIL_BITS - 1)
origins = st.one_of(st.text(min_size=1).map(make_origin), st.integers(0, 2**30 - 1).map(random_origin))


@given(times, entropies, origins)
def test_an_id_tells_its_time_and_origin(now: float, entropy: int, origin: str) -> None:
    made = make_id(now, entropy, origin)
    assert token(made, "id") == made
    at = made_at(made)
    assert at is not None
    assert 0 <= now - at < 0.0011
    assert origin_of(made) == origin
    assert key_of(made) == made


@given(times, times, entropies, entropies, origins)
def test_ids_sort_by_time(one: float, other: float, a: int, b: int, origin: str) -> None:
    if abs(one - other) > 0.001:
        assert (make_id(one, a, origin) < make_id(other, b, origin)) == (one < other)


@given(times, entropies, entropies, origins)
def test_ids_of_one_moment_differ_by_their_entropy(now: float, a: int, b: int, origin: str) -> None:
    assert (make_id(now, a, origin) == make_id(now, b, origin)) == (a == b)


@given(times, entropies, origins, st.text(), st.text(), origins)
def test_a_derived_id_is_the_same_each_time(
    now: float, entropy: int, origin: str, path: str, other: str, root: str
) -> None:
    parent = make_id(now, entropy, origin)
    child = derive_id(parent, path, root)
    assert child == derive_id(parent, path, root)
    assert (child == derive_id(parent, other, root)) == (path == other)
    assert made_at(child) == made_at(parent)
    assert origin_of(child) == root
    assert derive_id(child, path, root) != child


@given(tokens, st.text(), origins)
def test_a_users_id_has_neither_time_nor_origin_but_children(given_id: str, path: str, origin: str) -> None:
    if re.fullmatch("[0-9a-v]{22}-.*", given_id):
        return
    assert made_at(given_id) is None
    assert origin_of(given_id) == USER_ORIGIN
    assert key_of(given_id) == given_id
    child = derive_id(given_id, path, origin)
    assert token(child, "id")
    assert origin_of(child) == origin
    assert made_at(child) is None


@given(times, entropies, origins)
def test_a_unique_task_is_found_by_its_key(now: float, entropy: int, origin: str) -> None:
    made = make_id(now, entropy, origin) + "-u0123456789abcdefghijklmno"
    assert key_of(made) == "u0123456789abcdefghijklmno"
    assert origin_of(made) == origin
    assert made_at(made) is not None


@pytest.mark.parametrize("name", ["", "x", "é" * 100])
def test_a_named_origin_is_stable(name: str) -> None:
    assert re.fullmatch("[0-9a-v]{6}", make_origin(name))
    assert make_origin(name) == make_origin(name)
    assert make_origin(name) != make_origin(name + "x")
