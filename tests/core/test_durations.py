"""Durations, sizes and rates as people write them."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.errors import ConfigError
from actorq.model.durations import Rate, duration, rate, size


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (0, 0.0),
        (1.5, 1.5),
        ("45", 45.0),
        ("0.25", 0.25),
        ("250ms", 0.25),
        ("30s", 30.0),
        (" 5m ", 300.0),
        ("1h30m", 5_400.0),
        ("2d", 172_800.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("1.5h", 5_400.0),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_durations(given: object, seconds: float) -> None:
    assert duration(given, "timeout") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "given",
    ["", "s", "5 parsecs", "30m1h", "1h1h", "-5s", -1, timedelta(-1), True, None, [], float("nan"), float("inf"),
     10**400, "9" * 400 + "s", "1e3", "\u0661s", "5\n5s", b"5s"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_name_value_and_example(given: object) -> None:
    with pytest.raises(ConfigError) as caught:
        duration(given, "retry.initial")
    assert str(caught.value).startswith("retry.initial: ")
    assert '"30s"' in str(caught.value) or "negative" in str(caught.value)


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(days: int, hours: int, minutes: int, seconds: int, ms: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s{ms}ms"
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=ms)
    assert duration(text, "x") == pytest.approx(span.total_seconds())
    assert duration(span, "x") == span.total_seconds()


@given(st.text("0123456789.dhms -+e/KiB", max_size=12))
def test_any_text_is_a_figure_or_a_config_error(text: str) -> None:
    for read in (duration, size):
        try:
            assert read(text, "x") >= 0
        except ConfigError as error:
            assert text in str(error)  # noqa: PT017
    with contextlib.suppress(ConfigError):
        assert rate(text, "x").per_second > 0


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [(0, 0), (100, 100), (2.0, 2), ("100", 100), ("100B", 100), ("512KiB", 524_288), ("1.5MiB", 1_572_864),
     ("10MB", 10_000_000), ("1 kB", 1_000), ("2GiB", 2**31)],
)  # fmt: skip
def test_sizes(given: object, bytes_: int) -> None:
    assert size(given, "max") == bytes_


@pytest.mark.parametrize("given", ["", "KiB", "12XB", "5iB", -1, 1.5, "0.3B", True, None, float("inf")])
def test_what_is_no_size_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^max: .* is not a size; .*512KiB"):
        size(given, "max")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("10/s", Rate(10, 1)), ("100/m", Rate(100, 60)), ("5/10s", Rate(5, 10)), ("0.5/s", Rate(0.5, 1)),
     ("3/h", Rate(3, 3600)), ("1/250ms", Rate(1, 0.25))],
)  # fmt: skip
def test_rates(given: str, expected: Rate) -> None:
    assert rate(given, "rate_limit") == expected
    assert rate(given, "rate_limit").per_second == expected.count / expected.per


@pytest.mark.parametrize("given", ["25 per sec", "25", "/s", "0/s", "1/0s", "1/x", 10, None, ""])
def test_what_is_no_rate_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^actors\.charge\.rate_limit: .* is not a rate; write "):
        rate(given, "actors.charge.rate_limit")


def test_the_hint_keeps_the_number_that_was_given() -> None:
    with pytest.raises(ConfigError, match='"25 per sec" is not a rate; write "25/s"'):
        rate("25 per sec", "x")
