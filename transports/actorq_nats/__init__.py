"""The JetStream driver: nats-py on a thread of its own behind the transport port.

``transport.py`` is the application's side, ``session.py`` the I/O thread's; ``iothread.py`` joins the two in batches.
A namespace ``P`` has the streams ``P_tasks``, ``P_results`` and ``P_dead`` (``topology.py``). Answers to a user ``U``
arrive under ``_INBOX.P.U.>`` (``_INBOX.P.any.>`` where it has no name), so that the broker's permissions can keep the
users of one account apart.
"""

from __future__ import annotations

from actorq.model.message import ConnectionSettings
from actorq_nats.transport import NatsTransport

__all__ = ["NatsTransport", "connect"]


def connect(settings: ConnectionSettings) -> NatsTransport:
    """An unopened connection to ``settings.url``. Raises ConfigError for settings that cannot work."""
    return NatsTransport(settings)
