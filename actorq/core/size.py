"""The size limit of messages and results (semantics C-3)."""

from __future__ import annotations

from actorq.errors import PayloadTooLarge

MAX_BYTES = 512 * 1024
HEADER_ROOM = 4 * 1024


def check_size(size: int, what: str, broker_limit: int) -> None:
    """Raise PayloadTooLarge if ``size`` bytes exceed 512 KiB or what the broker takes (headers need room, too)."""
    limit = min(MAX_BYTES, broker_limit - HEADER_ROOM)
    if size > limit:
        raise PayloadTooLarge(
            f"{what} has {size:,} bytes, the limit is {limit:,}: store the data elsewhere and send a reference to it",
            size=size,
            limit=limit,
        )
