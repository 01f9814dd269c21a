"""The register of mailboxes in the broker (semantics A-5): who has which queue and lanes, without their code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actorq.core.codec import pack, unpack_map
from actorq.errors import BrokerUnavailable
from actorq.model.address import Mailbox, Namespace, parse_subject
from actorq.model.message import Expect, Failed, Publication, Refused
from actorq.ports.transport import Transport

WRITE_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Registered:
    """One register record. ``home``: the actor's own mailbox, written by a worker; else one that a sender used."""

    mailbox: Mailbox
    home: bool
    details: Mapping[str, object]


class Register:
    """Reads and writes register records; remembers what this process has already seen."""

    def __init__(self, transport: Transport, namespace: Namespace) -> None:
        self._transport = transport
        self._namespace = namespace
        self._known: set[Mailbox] = set()
        self._homes: dict[str, Mailbox] = {}

    async def ensure(self, mailbox: Mailbox) -> None:
        """Make sure that workers can find this mailbox, before its first use by this process."""
        if mailbox in self._known:
            return
        subject = self._namespace.register(mailbox)
        record = Publication(
            subject, pack({"v": 1, "home": False, "at": self._transport.now()}), expect=Expect(0, subject)
        )
        await self._write(record)
        self._known.add(mailbox)

    async def announce(self, mailbox: Mailbox, details: Mapping[str, object]) -> None:
        """Write a worker's home record if what is stored differs."""
        subject = self._namespace.register(mailbox)
        body = {"v": 1, "home": True, **details}
        found = await self._transport.get(subject)
        if found is not None and unpack_map(found.body) == body:
            return
        expect = Expect(found.sequence if found is not None else 0, subject)
        await self._write(Publication(subject, pack(body), expect=expect, replace=True))

    async def home(self, actor: str) -> Mailbox:
        """Where a sender by name puts messages: the registered home, else queue ``default``, lane 0."""
        if actor not in self._homes:
            for entry in await self.entries(actor):
                if entry.home:
                    self._homes[actor] = entry.mailbox
                    break
            else:
                return Mailbox("default", 0, actor)
        return self._homes[actor]

    async def entries(self, actor: str = "*", queue: str = "*") -> list[Registered]:
        """All registered mailboxes, or those of one actor or queue."""
        found: list[Registered] = []
        for message in await self._transport.scan(self._namespace.registers(actor, queue)):
            parsed, details = parse_subject(message.subject), unpack_map(message.body) or {}
            if parsed is not None:
                found.append(Registered(parsed[1], bool(details.get("home")), details))
        return sorted(found, key=lambda entry: str(entry.mailbox))

    async def _write(self, record: Publication) -> None:
        (answer,) = await self._transport.publish([record], timeout=WRITE_TIMEOUT)
        match answer:
            case Failed(error, unknown=True):
                raise BrokerUnavailable(f"the mailbox could not be registered: {error}", subject=record.subject)
            case Failed(error):
                raise error
            case Refused():
                pass  # another process wrote it in the meantime: it exists, which is all that is needed
            case _:
                pass
