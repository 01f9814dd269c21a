"""Values for property tests of the core."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from actorq.model.envelope import DeadLetter, Envelope, ErrorInfo, Record
from actorq.model.retry import Retry

tokens = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-", min_size=1, max_size=64)
addresses = st.one_of(tokens, st.builds("{}.{}".format, tokens, tokens))
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Text as file names have it: lone surrogates included.
texts = st.text(st.characters(codec=None), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
moments = st.one_of(numbers, st.integers(-(2**40), 2**40))
counts = st.integers(0, 2**31 - 1)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=20),
    st.datetimes(timezones=zones),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
keys: st.SearchStrategy[Any] = st.one_of(scalars, st.tuples(scalars, scalars), st.frozensets(scalars, max_size=3))


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
    )


wire_values: st.SearchStrategy[Any] = st.recursive(scalars, _containers, max_leaves=12)
text_maps = st.dictionaries(texts, wire_values, max_size=3)
wire_tuples: st.SearchStrategy[Any] = st.lists(wire_values, max_size=4).map(tuple)
# Keys of a later version, never one that this version knows.
extras = st.dictionaries(texts.map(lambda key: "new-" + key), wire_values, max_size=2)

seconds = st.floats(0, allow_infinity=False)
names = st.lists(st.sampled_from(["ValueError", "shop.db.PoolBroken", "shop.f.<locals>.Boom"]), max_size=2).map(tuple)
retries = st.builds(
    Retry,
    max_attempts=st.integers(1, 2**70),
    initial=seconds,
    factor=st.floats(1, allow_infinity=False),
    max=seconds,
    jitter=st.booleans(),
    no_retry=names,
    restart_on=names,
)

envelopes = st.builds(
    Envelope,
    id=tokens,
    to=addresses,
    root=st.one_of(st.just(""), tokens),
    parent=st.one_of(st.just(""), tokens),
    args=wire_tuples,
    kwargs=text_maps,
    attempt=st.integers(1, 2**31 - 1),
    generation=counts,
    repeat=st.booleans(),
    leases_lost=counts,
    expires=st.none() | moments,
    deadline=st.none() | moments,
    time_limit=st.none() | moments,
    retry=st.none() | retries,
    reply=st.one_of(st.none(), moments, texts),
    frames=wire_tuples,
    trace=st.none() | st.dictionaries(texts, texts, max_size=2),
    meta=text_maps,
    extra=extras,
)
errors = st.builds(
    ErrorInfo,
    type_name=texts,
    message=texts,
    traceback=texts,
    kind=st.sampled_from(["raised", "timed_out", "cancelled", "expired", "deadline", "dead"]),
    reason=texts,
    actor=texts,
    task_id=texts,
    path=texts,
    attempts=counts,
    abandoned=st.booleans(),
    args=wire_tuples,
)
records = st.builds(
    Record,
    id=tokens,
    state=st.sampled_from(["succeeded", "failed", "cancelled", "expired", "retrying", "replaced"]),
    generation=counts,
    value=wire_values,
    error=st.none() | errors,
    attempts=counts,
    at=moments,
    worker=texts,
    reason=texts,
    extra=extras,
)
dead_letters = st.builds(
    DeadLetter,
    id=tokens,
    actor=addresses,
    queue=tokens,
    reason=texts,
    error=texts,
    message=texts,
    traceback=texts,
    attempts=counts,
    deliveries=counts,
    worker=texts,
    at=moments,
    first_at=moments,
    subject=texts,
    envelope=st.binary(max_size=200),
)
