"""One durable consumer: what waits for it, who may take it, and who holds what until when.

A lease that its holder renews every third is not ticked: as long as the holder is there the renewals are certain, and
only when they stop (a limit, a release, a lost connection) is the end of the lease worked out, from the last renewal
that was due before. So a blocked event loop loses no lease, and an idle system sleeps.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import floor, inf

from actorq.model.message import ConsumerSpec, Message

from actorq_memory.line import Line
from actorq_memory.store import Store
from actorq_memory.timers import Timer, Timers

RENEWALS = 3
"""How many renewals fit into one lease."""


@dataclass(slots=True, eq=False)
class Lease:
    """One delivery of one message. ``since``: a moment at which it was surely renewed. ``ends``: infinite while kept."""

    line: Line
    message: Message
    deliveries: int
    since: float
    limit: float = inf
    ends: float = inf
    lost: Callable[[], None] | None = None
    timer: Timer | None = None


@dataclass(slots=True, eq=False)
class Member:
    """One connection's share in a consumer. ``hand`` takes a lease, under the broker's lock."""

    line: Line
    hand: Callable[[Lease], None]
    credit: int = 0


@dataclass(slots=True, eq=False)
class Durable:
    """Every method is called under the broker's lock, with its time."""

    spec: ConsumerSpec
    store: Store
    timers: Timers
    members: deque[Member] = field(default_factory=deque)
    idle: Timer | None = None
    _waiting: deque[int] = field(default_factory=deque)
    _again: list[int] = field(default_factory=list)
    _due_again: set[int] = field(default_factory=set)
    _held: dict[int, Lease] = field(default_factory=dict)
    _counts: dict[int, int] = field(default_factory=dict)

    def wait(self, sequences: Iterable[int]) -> None:
        """What lay in the store before the consumer was made."""
        self._waiting.extend(sequences)

    def end(self) -> None:
        """The consumer is removed; its messages stay in the store."""
        for lease in self._held.values():
            self.timers.withdraw(lease.timer)
        self._held.clear()

    def arrive(self, sequence: int, now: float) -> None:
        """A message is there."""
        self._waiting.append(sequence)
        self.deal(now)

    def deal(self, now: float) -> None:
        """Hand out what may be handed out: redeliveries first, members in turn."""
        while (member := self._entitled()) is not None and (sequence := self._take()) is not None:
            message = self.store.message(sequence)
            assert message is not None
            count = self._counts[sequence] = self._counts.get(sequence, 0) + 1
            lease = self._held[sequence] = Lease(member.line, message, count, now)
            member.credit -= 1
            member.hand(lease)

    def _entitled(self) -> Member | None:
        for _ in range(len(self.members)):
            member = self.members[0]
            self.members.rotate(-1)
            if member.credit > 0:
                return member
        return None

    def _take(self) -> int | None:
        while self._again:
            sequence = heapq.heappop(self._again)
            if sequence in self._due_again:
                self._due_again.remove(sequence)
                return sequence
        # What waits for its redelivery occupies its place already, so only new messages need a free one.
        if self.spec.max_held and len(self._held) + len(self._due_again) >= self.spec.max_held:
            return None
        while self._waiting:
            sequence = self._waiting.popleft()
            if sequence in self.store:
                return sequence
        return None

    def forget(self, sequence: int, now: float) -> None:
        """The message is no longer in the store; what it occupied is free."""
        self._due_again.discard(sequence)
        if self._counts.pop(sequence, None) is not None:
            lease = self._held.pop(sequence, None)
            self.timers.withdraw(lease.timer if lease else None)
            self.deal(now)

    def keep(self, lease: Lease, limit: float, lost: Callable[[], None] | None, now: float) -> None:
        """Renew until ``limit`` (a time) and tell ``lost`` if the lease ends while held."""
        lease.lost = lost
        if self._held.get(lease.message.sequence) is not lease:
            return self._tell(lease)
        lease.since, lease.limit = self._renewed(lease, min(now, lease.limit)), limit
        self._expect_end(lease)

    def abandon(self, line: Line, now: float) -> None:
        """A connection is closed: nobody renews its leases from now on, and nobody listens."""
        for lease in self._held.values():
            if lease.line is line:
                self.keep(lease, min(now, lease.limit), None, now)

    def update(self, spec: ConsumerSpec, now: float) -> None:
        """Take over what a newer configuration says."""
        for lease in self._held.values():
            lease.since = self._renewed(lease, min(now, lease.limit))
        self.spec = spec
        for lease in self._held.values():
            self._expect_end(lease)
        self.deal(now)

    def _renewed(self, lease: Lease, moment: float) -> float:
        third = self.spec.lease / RENEWALS
        return lease.since + max(0, floor((moment - lease.since) / third)) * third

    def _expect_end(self, lease: Lease) -> None:
        lease.ends = inf if lease.limit == inf else self._renewed(lease, lease.limit) + self.spec.lease
        self.timers.withdraw(lease.timer)
        lease.timer = None if lease.ends == inf else self.timers.add(lease.ends, lambda now: self._end(lease, now))

    def _end(self, lease: Lease, now: float) -> None:
        sequence = lease.message.sequence
        del self._held[sequence]
        heapq.heappush(self._again, sequence)
        self._due_again.add(sequence)
        self._tell(lease)
        self.deal(now)

    def _tell(self, lease: Lease) -> None:
        if lease.lost is not None and lease.message.sequence in self.store:
            lease.line.post(lease.lost)
            lease.lost = None
