"""From settings to servers and credentials; nothing secret in any text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actorq.errors import ConfigError
from actorq.model.message import ConnectionSettings
from actorq_nats import connect
from actorq_nats.dial import Options, addresses_of


def options(url: str = "nats://127.0.0.1", **more: Any) -> Options:
    return Options.of(ConnectionSettings(url, "aq-test", **more))


def test_servers_of_a_url() -> None:
    """Several servers, default ports, credentials left out."""
    texts = [str(address) for address in addresses_of("nats://me:pw@a:4333, b,tls://c,[::1]:4444")]
    assert texts == ["a:4333", "b:4222", "c:4222", "[::1]:4444"]


@pytest.mark.parametrize("url", ["redis://a", "nats://", "nats://a:port", "nats://s3cret@a,,", "nats://a:0x1"])
def test_a_url_that_is_none(url: str) -> None:
    """The error says what is expected and does not repeat what may be a password."""
    with pytest.raises(ConfigError, match="nats://host:4222") as raised:
        connect(ConnectionSettings(url, "aq-test"))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://a, redis://b", "'redis://b'"),
        ("nats://me:s3cret@a:port", "'nats://***@a:port'"),
        ("nats://s3@cret@a:port", "'nats://***@a:port'"),
        ("nats://me:s3cret,more@a", "'***'"),
    ],
)
def test_the_server_that_is_wrong_is_quoted(url: str, shown: str) -> None:
    """Without its secrets, also where a comma in one splits it."""
    with pytest.raises(ConfigError) as raised:
        addresses_of(url)
    assert str(raised.value).startswith(f"server {shown} of the transport's URL")


@pytest.mark.parametrize(
    ("url", "more", "given"),
    [
        ("nats://a", {}, {}),
        ("nats://me:p%40w@a", {}, {"user": "me", "password": "p@w"}),
        ("nats://t0ken@a", {}, {"token": "t0ken"}),
        ("nats://me:pw@a", {"user": "you", "password": "word"}, {"user": "you", "password": "word"}),
        ("nats://a", {"token": "t0ken"}, {"token": "t0ken"}),
    ],
)
def test_credentials(url: str, more: dict[str, str], given: dict[str, str]) -> None:
    """Settings go before what stands in the URL."""
    found = options(url, **more)
    assert {key: found.kwargs.get(key) for key in ("user", "password", "token") if key in found.kwargs} == given
    for secret in ("pw", "p@w", "word", "t0ken"):
        assert secret not in found.user


def test_a_user_has_inboxes_of_its_own() -> None:
    """Whatever the user's name holds, it is one token."""
    assert options(user="a.b c", password="x").login == "a_b_c"
    assert options().login == "any"


@pytest.mark.parametrize("setting", ["creds", "nkey", "tls_ca", "tls_cert"])
def test_files_that_are_not_there(setting: str) -> None:
    """A ConfigError that names the setting, before anything is connected."""
    with pytest.raises(ConfigError, match=rf"nats\.{setting[:3]}"):
        options(**{setting: "/nowhere/file"})


def test_a_file_that_is_no_credentials_file(tmp_path: Path) -> None:
    """It is refused here: nats-py would read it for ever."""
    file = tmp_path / "user.creds"
    file.write_text("hello\n")
    with pytest.raises(ConfigError, match="no NATS credentials file"):
        options(creds=str(file))


def test_tls_is_asked_for_by_scheme_or_files() -> None:
    """Then a server without it is an error."""
    assert options("tls://a").encrypted
    assert not options("nats://a").encrypted
