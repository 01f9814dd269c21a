"""A worker that is to end when its work is done (``--burst``)."""

from __future__ import annotations

from collections.abc import Collection

import anyio

from actorq.errors import TransportError
from actorq.model.address import Namespace
from actorq.ports.transport import Transport
from actorq.runtime.runner import ActorRunner

PAUSE = 0.1


async def until_done(transport: Transport, namespace: Namespace, runners: Collection[ActorRunner]) -> None:
    """Return when nothing waits in the mailboxes of these actors and nothing is in progress."""
    while await _have_work(transport, namespace, runners):
        await anyio.sleep(PAUSE)


async def _have_work(transport: Transport, namespace: Namespace, runners: Collection[ActorRunner]) -> bool:
    for mailbox in [mailbox for runner in runners for mailbox in runner.mailboxes]:
        try:
            if await transport.get(namespace.inbox(mailbox)) is not None:
                return True
        except TransportError:
            return True  # nobody can tell while the broker is away
    return any(runner.jobs for runner in runners)
