"""Reading many stored messages, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from actorq.model.message import Message
from actorq.ports.transport import Transport


async def pages(transport: Transport, subject: str, size: int) -> AsyncGenerator[Sequence[Message], None]:
    """All messages that match a filter, in their order, at most ``size`` at a time. Raises TransportError."""
    after, more = 0, True
    while more:
        page = await transport.browse(subject, after=after, limit=size)
        yield page
        more = len(page) == size
        after = page[-1].sequence if page else after
