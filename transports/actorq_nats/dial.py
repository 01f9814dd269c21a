"""How to reach a broker: settings into what nats-py takes, every default of it chosen on purpose."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from actorq.errors import ConfigError
from actorq.model.message import ConnectionSettings

_PORT = 4222
_NO_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Address:
    """One server, without secrets. ``found``: learned from another server, not from the user."""

    host: str
    port: int
    found: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_ip(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def addresses_of(url: str) -> list[Address]:
    """The servers in a (comma separated) URL. Raises ConfigError."""
    return [Address(part.hostname or "", part.port or _PORT) for part in _parts(url)]


def _parts(url: str) -> list[SplitResult]:
    parts: list[SplitResult] = []
    for text in url.split(","):
        part = urlsplit(text.strip() if "://" in text else f"nats://{text.strip()}")
        try:
            usable = part.scheme in ("nats", "tls") and bool(part.hostname) and (part.port or _PORT) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(
                f"server {_quoted(text, url)} of the transport's URL is not like nats://host:4222 or tls://host:4222"
            )
        parts.append(part)
    return parts


def _quoted(text: str, url: str) -> str:
    """One server as it was given, without its secrets."""
    rest = text.strip()
    if "@" in rest:
        scheme, slashes, _ = rest.rpartition("@")[0].rpartition("://")
        return repr(f"{scheme}{slashes}***@{rest.rpartition('@')[2]}")
    # Where a password holds a comma, this may be a part of it.
    return repr("***" if "@" in url else rest)


@dataclass(frozen=True, slots=True)
class Options:
    """What every attempt to connect needs. ``encrypted``: a server without TLS is an error. ``user``: in words."""

    kwargs: dict[str, Any]
    encrypted: bool
    user: str

    @property
    def login(self) -> str:
        """The user's name where one is known, else ``any``: names this user's inboxes, for the broker's permissions."""
        return _NO_TOKEN.sub("_", self.kwargs.get("user") or "any")

    @classmethod
    def of(cls, settings: ConnectionSettings) -> Options:
        """From the user's settings. Raises ConfigError for files that are not there or do not fit."""
        parts = _parts(settings.url)
        tls = any(part.scheme == "tls" for part in parts)
        tls = tls or any((settings.tls_cert, settings.tls_key, settings.tls_ca))
        credentials, user = _credentials(settings, parts)
        kwargs: dict[str, Any] = {
            "name": settings.name,
            # A connection that is lost is thrown away whole and a new one made (see Connection): what was written
            # and what was not then stays certain.
            "allow_reconnect": False,
            "max_reconnect_attempts": 0,
            "dont_randomize": True,
            "pending_size": 0,
            # The session's own beat notices a dead peer; two of them would quarrel.
            "ping_interval": 1_000_000,
            "no_echo": False,
            **credentials,
        }
        if tls:
            kwargs["tls"] = _context(settings)
        return cls(kwargs, tls, user)


def _credentials(settings: ConnectionSettings, parts: list[SplitResult]) -> tuple[dict[str, Any], str]:
    """What to pass to nats-py, and whom that makes us, in words."""
    if settings.creds is not None:
        _check_creds(_read("creds", settings.creds))
        return {"user_credentials": settings.creds}, "the user of the credentials file"
    if settings.nkey is not None:
        given = settings.nkey
        seed = given if given.startswith("SU") and not Path(given).exists() else _read("nkey", given)
        _check_seed(seed)
        return {"nkeys_seed_str": seed}, "the user of the nkey"
    user, password = settings.user, settings.password
    token = settings.token
    for part in parts:
        if user is None and token is None and part.username is not None:
            if part.password is None:
                token = unquote(part.username)
            else:
                user, password = unquote(part.username), unquote(part.password)
    if token is not None:
        return {"token": token}, "the user of the token"
    if user is not None:
        return {"user": user, "password": password or ""}, f"user {user!r}"
    return {}, "a user without credentials"


def _read(setting: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, ValueError) as error:
        raise ConfigError(f"nats.{setting}: {path} cannot be read: {error}") from error


def _check_creds(text: str) -> None:
    # nats-py looks for these lines without noticing the end of the file.
    if "BEGIN NATS USER JWT" not in text or "BEGIN USER NKEY SEED" not in text:
        raise ConfigError("nats.creds: the file is no NATS credentials file: it needs a user's JWT and its seed")
    _nkeys("creds")


def _check_seed(seed: str) -> None:
    nkeys = _nkeys("nkey")
    try:
        nkeys.from_seed(bytearray(seed.strip().encode())).wipe()
    except nkeys.NkeysError:
        raise ConfigError("nats.nkey is no seed of a user's nkey (SU...), nor a file with one") from None


def _nkeys(setting: str) -> Any:
    try:
        return import_module("nkeys")
    except ImportError:
        raise ConfigError(f"nats.{setting} needs the package nkeys: pip install nkeys") from None


def _context(settings: ConnectionSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        if settings.tls_cert is not None:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"nats.tls_ca, tls_cert or tls_key cannot be loaded: {error}") from error
    return context
