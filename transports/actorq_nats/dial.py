"""How to reach a broker: settings into what nats-py takes, every default of it chosen on purpose."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
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
            # Not the text itself: it may hold a password.
            raise ConfigError(
                f"server {len(parts) + 1} of the transport's URL is not like nats://host:4222 or tls://host:4222"
            )
        parts.append(part)
    return parts


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
    if settings.creds is not None:
        return {"user_credentials": _file(settings.creds, "creds")}, "the user of the credentials file"
    if settings.nkey is not None:
        if settings.nkey.startswith("SU") and not Path(settings.nkey).exists():
            return {"nkeys_seed_str": settings.nkey}, "the user of the nkey"
        return {"nkeys_seed": _file(settings.nkey, "nkey")}, "the user of the nkey"
    if settings.token is not None:
        return {"token": settings.token}, "the user of the token"
    if settings.user is not None:
        return {"user": settings.user, "password": settings.password or ""}, f"user {settings.user!r}"
    for part in parts:
        if part.username is not None and part.password is not None:
            user = unquote(part.username)
            return {"user": user, "password": unquote(part.password)}, f"user {user!r}"
        if part.username is not None:
            return {"token": unquote(part.username)}, "the user of the token"
    return {}, "a user without credentials"


def _file(path: str, setting: str) -> str:
    if not Path(path).is_file():
        raise ConfigError(f"nats.{setting}: there is no file {path}")
    try:
        import nkeys  # noqa: F401, PLC0415  an optional dependency of nats-py, needed to sign
    except ImportError:
        raise ConfigError(f"nats.{setting} needs the package nkeys: pip install nkeys") from None
    return path


def _context(settings: ConnectionSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        if settings.tls_cert is not None:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"nats.tls_ca, tls_cert or tls_key cannot be loaded: {error}") from error
    return context
