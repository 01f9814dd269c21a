"""What goes to stdout, and what is hidden from it."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from actorq.cli.output import colourful, columns, document, fields, masked, moment, shown


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://me:secret@host:4222", "nats://***@host:4222"),
        ("nats://token@a:1,nats://me:secret@b:2,c:3", "nats://***@a:1,nats://***@b:2,c:3"),
        ("nats://a:1,me:secret@b:2", "nats://a:1,***@b:2"),
        ("memory:", "memory:"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, seen: str) -> None:
    assert masked(url) == seen


def test_text_is_shown_as_it_is_and_anything_else_as_json() -> None:
    assert shown("plain text") == "plain text"
    assert shown([1, None, "ä"]) == '[1, null, "ä"]'
    assert shown({"at": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\x00", "set": {2, 1}}) == (
        '{"at": "2026-01-02T00:00:00+00:00", "raw": "AA==", "set": [1, 2]}'
    )


def test_a_document_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    document({"id": "x", "value": "a\nb"})
    assert capsys.readouterr().out == '{"id": "x", "value": "a\\nb"}\n'


def test_columns_are_aligned_and_unknown_fields_left_out() -> None:
    assert columns([("a", "1"), ("long", "2")], "  ") == "  a     1\n  long  2"
    assert fields({"id": "T", "error": None, "worker": "", "attempts": 0}) == "id        T\nattempts  0"
    assert columns([]) == ""


def test_a_moment_is_iso_and_zero_is_unknown() -> None:
    assert moment(1.5) == "1970-01-01T00:00:01.500+00:00"
    assert moment(0) is None


def test_there_is_no_colour_in_a_pipe_or_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = io.StringIO()
    assert not colourful(terminal)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    assert colourful(terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colourful(terminal)
