"""The reads that decide whether a message is run (D-2), and nothing else."""

from __future__ import annotations

from actorq.core.codec import Undecodable, decode_envelope, decode_record
from actorq.core.delivery import Copy
from actorq.core.ids import key_of, origin_of
from actorq.model.address import Namespace
from actorq.model.envelope import Envelope, Record
from actorq.ports.transport import Transport


async def newest_copy(transport: Transport, namespace: Namespace, envelope: Envelope) -> Copy | None:
    """The newest copy under the task's key, waiting, scheduled or held; None if there is none (or none readable)."""
    message = await transport.get(namespace.copies(envelope.actor, key_of(envelope.id)))
    if message is None:
        return None
    try:
        found = decode_envelope(message.body)
    except Undecodable:
        return None
    return Copy(id=found.id, sequence=message.sequence, generation=found.generation, repeat=found.repeat)


async def stored_record(transport: Transport, namespace: Namespace, task_id: str) -> Record | None:
    """The task's record, None if there is none."""
    found = await transport.get(namespace.result(origin_of(task_id), task_id))
    return None if found is None else decode_record(found.body)
