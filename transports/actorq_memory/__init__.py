"""The reference driver: a broker in this process, with the semantics of the real one.

``memory:`` is one broker for the whole process (each namespace apart), ``memory:NAME`` another one of that name. A
broker outlives its connections, so that a later connection, or one in another thread, finds what was stored.
"""

from __future__ import annotations

import threading

from actorq.errors import ConfigError, InvalidName
from actorq.model.address import token
from actorq.model.message import ConnectionSettings
from actorq_memory.broker import Broker
from actorq_memory.transport import MemoryTransport

__all__ = ["MemoryTransport", "connect", "forget"]

_brokers: dict[tuple[str, str], Broker] = {}
_lock = threading.Lock()


def connect(settings: ConnectionSettings) -> MemoryTransport:
    """An unopened connection to the broker that ``settings.url`` names. Raises ConfigError for any other URL."""
    scheme, _, name = settings.url.partition(":")
    try:
        broker_name = token(name, "broker") if name else ""
    except InvalidName as error:
        raise ConfigError(f"transport {settings.url!r}: {error}; for example {scheme}: or {scheme}:tests") from None
    with _lock:
        broker = _brokers.setdefault((broker_name, settings.prefix), Broker(settings.prefix))
    return MemoryTransport(broker, settings)


def forget(url: str) -> None:
    """Drop what the broker behind ``url`` holds, in every namespace; connections that are open go on without it."""
    name = url.partition(":")[2]
    with _lock:
        for key in [key for key in _brokers if key[0] == name]:
            del _brokers[key]
