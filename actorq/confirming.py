"""Storing one message that must not be lost (semantics D-7): tried again until there is an answer or time is out."""

from __future__ import annotations

import anyio

from actorq.core.sending import Done, GiveUp, Sending, Taken, TryAgain
from actorq.model.message import Publication
from actorq.ports.transport import Transport

TRY_TIMEOUT, SHORTEST_TRY = 5.0, 0.05


async def confirmed(transport: Transport, publication: Publication, deadline: float) -> Done | Taken:
    """Publish; says whether it is there (Done), or what it expects does not hold (Taken).

    ``deadline``: on the clock of the event loop. Raises BrokerUnavailable, DeliveryUnknown, StreamFull or
    PermissionDenied. Cancelled here, it may or may not be stored.
    """
    sending = Sending(exclusive=publication.expect is not None)
    while True:
        left = deadline - anyio.current_time()
        (answer,) = await transport.publish([publication], timeout=max(SHORTEST_TRY, min(TRY_TIMEOUT, left)))
        match sending.after(answer, anyio.current_time(), deadline):
            case Done() | Taken() as verdict:
                return verdict
            case GiveUp(error):
                raise error
            case TryAgain(after):
                await anyio.sleep(after)
