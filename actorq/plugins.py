"""Finds a transport driver by the scheme of a URL: the only place that reaches a driver."""

from __future__ import annotations

from actorq.errors import ConfigError
from actorq.model.message import ConnectionSettings
from actorq.ports.transport import Connect, Transport

GROUP = "actorq.transports"


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
    raise ConfigError(
        f"transport {scheme + ':...'!r} has no driver; known schemes: {known}; for example nats://127.0.0.1:4222"
    )
