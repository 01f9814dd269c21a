"""The reads that decide whether a message is run (D-2), and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from actorq.core.codec import readable_envelope
from actorq.core.delivery import Copy
from actorq.core.ids import key_of
from actorq.errors import BrokerUnavailable
from actorq.model.address import Namespace
from actorq.model.envelope import Envelope
from actorq.ports.transport import Transport

T = TypeVar("T")

PAUSE = 0.5


async def newest_copy(transport: Transport, namespace: Namespace, envelope: Envelope) -> Copy | None:
    """The newest copy under the task's key, waiting, scheduled or held; None if there is none (or none readable)."""
    message = await transport.get(namespace.copies(envelope.actor, key_of(envelope.id)))
    found = None if message is None else readable_envelope(message.body)
    if message is None or found is None:
        return None
    return Copy(id=found.id, sequence=message.sequence, generation=found.generation, repeat=found.repeat)


async def patiently(read: Callable[[], Awaitable[T]], while_: Callable[[], bool]) -> T:
    """Read, again and again while the broker is away and ``while_`` holds. Raises TransportError."""
    while True:
        try:
            return await read()
        except BrokerUnavailable:
            if not while_():
                raise
            await anyio.sleep(PAUSE)
