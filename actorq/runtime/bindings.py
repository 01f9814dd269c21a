"""Which mailboxes a worker serves (semantics A-5): announced, found in the register, paused, and looked after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import anyio

from actorq.errors import ConfigError, TransportError
from actorq.model.address import Mailbox
from actorq.register import Register, Registered, home_of
from actorq.runtime.mailbox import Puller
from actorq.runtime.runner import ActorRunner
from actorq.runtime.sweep import Pulled, Sweep

log: logging.Logger = logging.getLogger("actorq.worker")

KEEP_EVERY = 30.0


class Bindings:
    """Joins the actors of a worker to their mailboxes in the queues that it ``serves``."""

    def __init__(
        self,
        register: Register,
        sweep: Sweep,
        runners: Mapping[str, ActorRunner],
        serves: Callable[[str], bool],
    ) -> None:
        self._register = register
        self._sweep = sweep
        self._runners = runners
        self._serves = serves
        self._paused: set[str] = set()
        self._heard = 0

    async def rescan(self, *, claim: bool = False) -> None:
        """Make true what the register should say, and follow what it says. Raises TransportError.

        ``claim``: the homes of the actors are here, whatever somebody else has said before.
        """
        await self._follow(await self._register.entries(), claim=claim)

    async def _follow(self, entries: Sequence[Registered], *, claim: bool) -> None:
        for runner in list(self._runners.values()):
            await self._announce(runner, entries, claim=claim)
        for entry in entries:
            await self.bind(entry.mailbox)
        await self._follow_pauses()

    async def _announce(self, runner: ActorRunner, entries: Sequence[Registered], *, claim: bool) -> None:
        """Register an actor's home mailbox, if its queue is served here, and join it."""
        target = runner.target
        home = Mailbox(target.policy.queue, 0, target.name)
        if not self._serves(home.queue):
            return
        details = {"lanes": 1, "parameters": target.shown, "version": 1, "timeout": target.policy.timeout}
        newest = home_of(entries, target.name)
        await self._register.announce(home, details, anew=claim and newest is not None and newest != home)
        await runner.bind(home)

    async def bind(self, mailbox: Mailbox) -> None:
        """Serve a mailbox that somebody has registered, if it is one of ours."""
        runner = self._runners.get(mailbox.actor)
        if runner is not None and self._serves(mailbox.queue):
            try:
                await runner.bind(mailbox)
            except ConfigError as error:
                log.error("actor %r cannot take messages from queue %r: %s", mailbox.actor, mailbox.queue, error)

    async def _follow_pauses(self) -> None:
        while True:
            heard = self._heard
            paused = await self._register.paused()
            if heard == self._heard:  # else what was read may be older than what was heard meanwhile
                break
        self._paused = paused
        await self._pause()

    async def pause(self, queue: str, paused: bool) -> None:
        """Take nothing from a queue any more, or take again, as somebody has just registered."""
        self._heard += 1
        self._paused = self._paused | {queue} if paused else self._paused - {queue}
        await self._pause()

    async def _pause(self) -> None:
        for runner in list(self._runners.values()):
            await runner.pause(self._paused)

    async def keep(self) -> None:
        """See to it that nothing is overlooked for long, until cancelled."""
        while True:
            await anyio.sleep(KEEP_EVERY)
            try:
                entries = await self._register.entries()
                await self._follow(entries, claim=False)
                await self._attend_to_the_rest(entries)
            except TransportError as error:
                log.warning("the broker does not answer (%s): mailboxes are looked after later", error)

    async def _attend_to_the_rest(self, entries: Sequence[Registered]) -> None:
        """Find messages that nobody attends to, and attend to them (D-8). Raises TransportError."""
        known = {entry.mailbox for entry in entries}
        known |= {mailbox for runner in self._runners.values() for mailbox in runner.mailboxes}
        for mailbox in await self._sweep.unregistered(list(self._runners), known):
            if self._serves(mailbox.queue):
                log.warning("messages wait in mailbox %s, which was in no register: serving it", mailbox)
                await self.bind(mailbox)
        pullers = {puller.mailbox: (puller, limit) for puller, limit in self._idle()}
        looked_at = [Pulled(mailbox, p.delivered_at, limit) for mailbox, (p, limit) in pullers.items()]
        for mailbox in await self._sweep.silent(looked_at):
            log.warning("mailbox %s has messages and delivers none: joining it again", mailbox)
            await pullers[mailbox][0].rebuild()

    def _idle(self) -> Iterator[tuple[Puller, int]]:
        for runner in self._runners.values():
            for puller in runner.pullers:
                if puller.expects:
                    yield puller, runner.target.policy.global_concurrency
