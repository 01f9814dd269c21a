"""The register of mailboxes in the broker (semantics A-5): who has which queue and lanes, without their code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import anyio

from actorq.confirming import confirmed
from actorq.core.codec import pack, unpack_map
from actorq.core.sending import Done
from actorq.errors import BrokerUnavailable
from actorq.model.address import PAUSED, Mailbox, Namespace, parse_subject
from actorq.model.message import Expect, Message, Publication
from actorq.ports.transport import Transport

TIMEOUT = 15.0
PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Registered:
    """One register record. ``home``: the actor's own mailbox, written by a worker; else one that a sender used.

    ``sequence`` says which of two was written later.
    """

    mailbox: Mailbox
    home: bool
    details: Mapping[str, object]
    sequence: int = 0


class Register:
    """Reads and writes register records; remembers what this process has already seen.

    Every method goes on for ``timeout`` seconds while the broker is away, then raises as sending does (D-7).
    """

    def __init__(self, transport: Transport, namespace: Namespace) -> None:
        self._transport = transport
        self._namespace = namespace
        self._known: set[Mailbox] = set()
        self._homes: dict[str, Mailbox] = {}

    def forget(self) -> None:
        """After a lost connection: the broker may have come back without what was written."""
        self._known.clear()
        self._homes.clear()

    async def ensure(self, mailbox: Mailbox, timeout: float = TIMEOUT) -> None:
        """Make sure that workers can find this mailbox, before its first use by this process."""
        if mailbox in self._known:
            return
        body = pack({"v": 1, "home": False, "at": self._transport.now()})
        # Refused: somebody has registered it already, which is all that is needed.
        await self._write(mailbox, body, 0, anyio.current_time() + timeout)
        self._known.add(mailbox)

    async def announce(
        self, mailbox: Mailbox, details: Mapping[str, object], timeout: float = TIMEOUT, *, anew: bool = False
    ) -> None:
        """Write a worker's home record if what is stored differs, or in any case, to be the newest home."""
        body, deadline = {"v": 1, "home": True, **details}, anyio.current_time() + timeout
        while True:
            found = await self._transport.get(self._namespace.register(mailbox))
            if found is not None and unpack_map(found.body) == body and not anew:
                return
            if await self._write(mailbox, pack(body), 0 if found is None else found.sequence, deadline):
                return

    async def home(self, actor: str, timeout: float = TIMEOUT) -> Mailbox:
        """Where a sender by name puts messages: the registered home, else queue ``default``, lane 0."""
        if actor not in self._homes:
            home = home_of(await self._found(actor, anyio.current_time() + timeout), actor)
            if home is None:
                return Mailbox("default", 0, actor)
            self._homes[actor] = home
        return self._homes[actor]

    async def _found(self, actor: str, deadline: float) -> list[Registered]:
        while True:
            try:
                return await self.entries(actor)
            except BrokerUnavailable:
                if anyio.current_time() + PAUSE >= deadline:
                    raise
                await anyio.sleep(PAUSE)

    async def entries(self, actor: str = "*", queue: str = "*") -> list[Registered]:
        """All registered mailboxes, or those of one actor or queue. One try."""
        found: list[Registered] = []
        for message in await self._transport.scan(self._namespace.registers(actor, queue)):
            parsed, details = parse_subject(message.subject), unpack_map(message.body) or {}
            if parsed is not None and parsed[1].actor != PAUSED:
                found.append(Registered(parsed[1], bool(details.get("home")), details, message.sequence))
        return sorted(found, key=lambda entry: str(entry.mailbox))

    async def pause(self, queue: str, paused: bool, timeout: float = TIMEOUT) -> bool:
        """Let workers take nothing from a queue, or take again; False if it is so already."""
        mailbox, deadline = Mailbox(queue, 0, PAUSED), anyio.current_time() + timeout
        body = pack({"v": 1, "paused": paused, "at": self._transport.now()})
        while True:
            found = await self._transport.get(self._namespace.register(mailbox))
            if (found is not None and pause_in(found) == (queue, True)) == paused:
                return False
            if await self._write(mailbox, body, 0 if found is None else found.sequence, deadline):
                return True

    async def paused(self, queue: str = "*") -> set[str]:
        """The queues that are paused, or that one if it is. One try."""
        said = map(pause_in, await self._transport.scan(self._namespace.pause(queue)))
        return {pause[0] for pause in said if pause is not None and pause[1]}

    async def _write(self, mailbox: Mailbox, body: bytes, expected: int, deadline: float) -> bool:
        """Replace the record with the sequence ``expected`` (0: none); False if it is another one by now."""
        subject = self._namespace.register(mailbox)
        record = Publication(subject, body, expect=Expect(expected, subject), replace=True)
        verdict = await confirmed(self._transport, record, deadline)
        return isinstance(verdict, Done) or verdict.perhaps_own


def home_of(entries: Iterable[Registered], actor: str) -> Mailbox | None:
    """The home of an actor: of several (its queue was changed) the one that was announced last."""
    homes = [entry for entry in entries if entry.home and entry.mailbox.actor == actor]
    return max(homes, key=lambda entry: entry.sequence).mailbox if homes else None


def pause_in(message: Message) -> tuple[str, bool] | None:
    """What a message on a register subject says of a pause: the queue, and whether it is paused; None: nothing."""
    parsed, details = parse_subject(message.subject), unpack_map(message.body)
    if parsed is None or parsed[1].actor != PAUSED or details is None:
        return None
    return parsed[1].queue, bool(details.get("paused"))
