"""Messages that nobody attends to (semantics A-5, D-8): a worker looks for them every now and then.

Two ways in which a message may lie unseen: in a mailbox that is in no register, or in one whose consumer has fallen
silent. This finds both; what to bind and what to rebuild is for the worker to carry out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import anyio

from actorq.model.address import Mailbox, Namespace, parse_subject
from actorq.ports.transport import Transport
from actorq.register import Register

SILENCE = 60.0
"""Seconds without a delivery, twice as long as a driver's pull, after which a consumer with work is taken for dead."""
PAGE = 16


@dataclass(frozen=True, slots=True)
class Pulled:
    """A mailbox that is bound here and may be taken from: neither paused nor limited, with a free slot.

    ``delivered_at``: of its last delivery, or since it was joined (clock of the event loop). ``max_held``: limit over
    all workers, 0 for none.
    """

    mailbox: Mailbox
    delivered_at: float
    max_held: int = 0


class Sweep:
    """Call both methods again and again, at intervals below ``silence`` seconds. Each raises TransportError."""

    def __init__(
        self, transport: Transport, namespace: Namespace, register: Register, *, silence: float = SILENCE
    ) -> None:
        self._transport = transport
        self._namespace = namespace
        self._register = register
        self._silence = silence
        self._seen: dict[str, int] = {}
        self._waiting_since: dict[Mailbox, float] = {}

    async def unregistered(self, actors: Iterable[str], known: Collection[Mailbox]) -> list[Mailbox]:
        """Mailboxes of ``actors`` in which messages wait, but which are not among the ``known``: registered anew.

        Each call looks at a page of what waits for each actor, from the oldest to the newest and then anew.
        """
        found: dict[Mailbox, None] = {}
        for actor in actors:
            subject = f"{self._namespace.prefix}.t.*.*.{actor}.*"
            page = await self._transport.browse(subject, after=self._seen.get(actor, 0), limit=PAGE)
            self._seen[actor] = page[-1].sequence if len(page) == PAGE else 0
            parsed = (parse_subject(message.subject) for message in page)
            found.update((place[1], None) for place in parsed if place is not None and place[1] not in known)
        for mailbox in found:
            self._register.forget()  # what this process once wrote has been lost
            await self._register.ensure(mailbox)
        return list(found)

    async def silent(self, pulled: Iterable[Pulled]) -> list[Mailbox]:
        """Those whose consumers are to be made anew: messages have waited for ``silence`` seconds, and none came."""
        now, since, found = anyio.current_time(), self._waiting_since, list[Mailbox]()
        self._waiting_since = {}
        for pull in pulled:
            if now - pull.delivered_at < self._silence / 2 or not await self._has_work(pull):
                continue
            began = max(pull.delivered_at, since.get(pull.mailbox, now))
            if now - began >= self._silence:
                found.append(pull.mailbox)
            else:
                self._waiting_since[pull.mailbox] = began
        return found

    async def _has_work(self, pull: Pulled) -> bool:
        backlog = await self._transport.backlog(pull.mailbox.consumer)
        # A consumer that is gone has nobody's attention, whatever waits.
        return backlog is None or (backlog.waiting > 0 and not 0 < pull.max_held <= backlog.held)
