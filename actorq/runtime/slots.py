"""Slots of one actor in one worker: how many of its handlers run at once (E-2, E-8)."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import EventLoopToken, current_token


class Slots:
    """Counts running handlers against ``capacity``; first come, first served, but those that resume go first.

    A slot is *lent* while its handler awaits another task, so that a parent never blocks its children. ``lent`` counts
    such handlers. ``home``: the event loop to which it all belongs. ``within``: each of these slots takes one of those,
    too.
    """

    def __init__(self, capacity: int, changed: Callable[[], None], *, within: Slots | None = None) -> None:
        self.capacity: int = capacity
        self.running: int = 0
        self.lent: int = 0
        self.home: EventLoopToken = current_token()
        self._changed = changed
        self._within = within
        self._resuming: deque[anyio.Event] = deque()
        self._starting: deque[anyio.Event] = deque()

    @property
    def free(self) -> int:
        """How many slots nobody holds or waits for after a loan."""
        return max(0, self.capacity - self.running - len(self._resuming))

    def take(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self.running < self.capacity and not self._resuming and not self._starting:
            if self._within is not None and not self._within.take():
                return False
            self.running += 1
            return True
        return False

    async def acquire(self) -> None:
        """Take a slot. Cancelled while waiting, none is taken."""
        await self._take(self._starting)
        await self._take_within(Slots.acquire)

    async def _take_within(self, take: Callable[[Slots], Awaitable[None]]) -> None:
        if self._within is None:
            return
        try:
            await take(self._within)
        except BaseException:
            self._give()
            raise

    async def _take(self, queue: deque[anyio.Event]) -> None:
        if self.running < self.capacity and not self._resuming and (queue is self._resuming or not self._starting):
            self.running += 1
            return
        turn = anyio.Event()
        queue.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._give()
            else:
                queue.remove(turn)
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._give()
        if self._within is not None:
            self._within.release()

    def _give(self) -> None:
        self.running -= 1
        self._pass_on()

    def _pass_on(self) -> None:
        while self.running < self.capacity and (queue := self._resuming or self._starting):
            self.running += 1
            queue.popleft().set()
        self._changed()

    def resize(self, capacity: int) -> None:
        """Change the capacity; a smaller one takes effect as handlers end."""
        self.capacity = capacity
        self._pass_on()

    async def resume(self) -> None:
        """Take a slot before all that start. Cancelled here, none is taken."""
        await self._take(self._resuming)
        await self._take_within(Slots.resume)
