"""Finds a transport driver by the scheme of a URL: the only place that reaches a driver."""

from __future__ import annotations

import re

from actorq.errors import ConfigError
from actorq.model.message import ConnectionSettings
from actorq.ports.transport import Connect, Transport

GROUP = "actorq.transports"
_HOST = re.compile(r"([\w.-]+)(?::(\d+))?", re.ASCII)


def open_transport(settings: ConnectionSettings) -> Transport:
    """An unopened transport for ``settings.url``. Raises ConfigError for a scheme that no driver serves."""
    # Only who connects pays for this import, a sixth of the whole package's.
    from importlib.metadata import entry_points  # noqa: PLC0415

    scheme = settings.url.partition(":")[0]
    found = entry_points(group=GROUP, name=scheme)
    for entry in found:
        connect: Connect = entry.load()
        return connect(settings)
    known = ", ".join(sorted({entry.name for entry in entry_points(group=GROUP)}))
    # The rest of a URL may hold a password; what looks like a host and its port does not.
    given, hint = f"{scheme}:...", "for example nats://127.0.0.1:4222"
    if bare := _HOST.fullmatch(settings.url):
        given, hint = settings.url, f"did you mean nats://{bare[1]}:{bare[2] or 4222}?"
    raise ConfigError(f"transport {given!r} has no driver; known schemes: {known}; {hint}")
