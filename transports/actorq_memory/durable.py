"""One durable consumer: what waits for it, who may take it, and who holds what until when.

Renewals are not ticked: as long as the holder is there they are certain, so the end of a lease is only worked out when
they stop (a limit, a release, a lost connection). So a blocked event loop loses no lease, and an idle system sleeps.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from actorq.model.message import Backlog, ConsumerSpec, Message
from actorq_memory.clock import Agenda
from actorq_memory.line import Line
from actorq_memory.store import Store


@dataclass(slots=True, eq=False)
class Lease:
    """One delivery of one message. ``ends``: infinite while it is renewed without limit."""

    line: Line
    message: Message
    deliveries: int
    ends: float = inf
    lost: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class Member:
    """One connection's share in a consumer. ``hand`` takes a lease, under the broker's lock."""

    line: Line
    hand: Callable[[Lease], None]
    credit: int = 0


class Durable:
    """Every method is called under the broker's lock."""

    def __init__(self, spec: ConsumerSpec, store: Store, agenda: Agenda) -> None:
        self.spec = spec
        self.members: deque[Member] = deque()
        self.left_at = inf
        self._store = store
        self._agenda = agenda
        # Sequences to deliver. What was delivered before is older than what was not, so it comes first.
        self._queue = sorted(message.sequence for message in store.matching(spec.filter))
        self._held: dict[int, Lease] = {}
        # Deliveries of each message that was delivered and is still stored, held or not: these fill `max_held`.
        self._counts: dict[int, int] = {}
        self._next_end = inf

    def update(self, spec: ConsumerSpec) -> None:
        """Take over what a newer configuration says; leases that are ending already keep their end."""
        self.spec = spec
        self.deal()

    def arrive(self, sequence: int) -> None:
        """A message was stored."""
        heapq.heappush(self._queue, sequence)
        self.deal()

    def forget(self, sequence: int) -> None:
        """A message is no longer in the store; what it occupied is free."""
        self._held.pop(sequence, None)
        if self._counts.pop(sequence, 0):
            self.deal()

    def deal(self) -> None:
        """Hand out what may be handed out, to the members in turn."""
        while (member := self._entitled()) is not None and (message := self._take()) is not None:
            count = self._counts[message.sequence] = self._counts.get(message.sequence, 0) + 1
            lease = self._held[message.sequence] = Lease(member.line, message, count)
            member.credit -= 1
            member.hand(lease)

    def backlog(self) -> Backlog:
        """How it stands. What was delivered once waits no more, also while nobody holds it."""
        fresh = (s for s in self._queue if s not in self._counts and self._store.message(s) is not None)
        return Backlog(
            waiting=sum(1 for _ in fresh), held=len(self._counts), pullers=sum(m.credit > 0 for m in self.members)
        )

    def _entitled(self) -> Member | None:
        for _ in range(len(self.members)):
            self.members.rotate(-1)
            if self.members[-1].credit > 0:
                return self.members[-1]
        return None

    def _take(self) -> Message | None:
        full = 0 < self.spec.max_held <= len(self._counts)
        while self._queue:
            message = self._store.message(self._queue[0])
            if message is not None and full and message.sequence not in self._counts:
                return None
            heapq.heappop(self._queue)
            if message is not None:
                return message
        return None

    def keep(self, lease: Lease, limit: float, lost: Callable[[], None] | None, now: float) -> None:
        """Renew for ``limit`` seconds from now, and tell ``lost`` if the lease ends while held."""
        lease.lost = lost
        if self._held.get(lease.message.sequence) is lease:
            self._end_at(lease, now + limit + self.spec.lease)
        else:
            self._tell(lease)

    def abandon(self, line: Line, now: float) -> None:
        """A connection is gone: nobody renews its leases from now on, and nobody listens."""
        for lease in self._held.values():
            if lease.line is line:
                lease.lost = None
                self._end_at(lease, min(lease.ends, now + self.spec.lease))

    def _end_at(self, lease: Lease, ends: float) -> None:
        lease.ends = ends
        # Nearly every limit is set and never reached, so only the earliest end is planned.
        if ends < self._next_end:
            self._next_end = ends
            self._agenda.add(ends, self._look_for_ends)

    def _look_for_ends(self, now: float) -> None:
        if now < self._next_end:
            return
        self._next_end = inf
        for lease in list(self._held.values()):
            if lease.ends <= now:
                del self._held[lease.message.sequence]
                heapq.heappush(self._queue, lease.message.sequence)
                self._tell(lease)
            elif lease.ends < inf:
                self._end_at(lease, lease.ends)
        self.deal()

    def _tell(self, lease: Lease) -> None:
        if lease.lost is not None:
            lease.line.post(lease.lost)
            lease.lost = None
