"""Reading and removing stored messages, and asking how consumers stand."""

from __future__ import annotations

import json
import re

import msgspec

from actorq.errors import TransportError
from actorq.model.message import Backlog, Message
from actorq_nats.errors import CONSUMER_NOT_FOUND, DELETE_FAILED, MESSAGE_NOT_FOUND, ApiError
from actorq_nats.requests import Requests
from actorq_nats.topology import Kind, kind_of, stream_name
from actorq_nats.wire import StoredMessage, broker_headers, parse_direct, parse_status

SCAN_LIMIT = 1_024
_TOO_MANY = 413
# How the server's stores say that there is no message of a sequence: removed, beyond the end, erased.
_GONE = re.compile(r"no message found|stream store EOF|deleted message")


class _Found(msgspec.Struct):
    message: StoredMessage


_found = msgspec.json.Decoder(_Found).decode


class _Standing(msgspec.Struct):
    num_pending: int = 0
    num_ack_pending: int = 0
    num_waiting: int = 0


_standing = msgspec.json.Decoder(_Standing).decode


class Reads:
    """Belongs to the I/O loop."""

    def __init__(self, requests: Requests, prefix: str) -> None:
        self._requests = requests
        self._prefix = prefix

    def _stream(self, subject: str) -> str:
        kind = kind_of(self._prefix, subject)
        if kind is None:
            raise TransportError(f"nothing is stored on {subject} in the namespace {self._prefix}", subject=subject)
        return stream_name(self._prefix, kind)

    async def get(self, subject: str) -> Message | None:
        """The newest message on a subject or filter, as the stream's leader has it (semantics B-8)."""
        name = self._stream(subject)
        try:
            answer = await self._requests.api(f"STREAM.MSG.GET.{name}", {"last_by_subj": subject})
        except ApiError as error:
            if error.code in MESSAGE_NOT_FOUND:
                return None
            raise error.translated() from error
        return _found(answer).message.message()

    async def delete(self, message: Message) -> bool:
        """Remove the message of this sequence."""
        name = self._stream(message.subject)
        try:
            await self._requests.api(f"STREAM.MSG.DELETE.{name}", {"seq": message.sequence, "no_erase": True})
        except ApiError as error:
            if error.code in MESSAGE_NOT_FOUND or (error.code == DELETE_FAILED and _GONE.match(str(error))):
                return False
            raise error.translated() from error
        return True

    async def scan(self, subject: str) -> list[Message]:
        """The newest message of every matching subject, from any replica."""
        name = self._stream(subject)
        found = await self._scan(name, {"multi_last": [subject]})
        if found is None:
            # More subjects than the broker looks up at once: walk the messages, of which the newer replaces the older.
            found = await self._scan(name, {"next_by_subj": subject}) or []
        newest = {message.subject: message for message in found}
        return sorted(newest.values(), key=lambda message: message.sequence)

    async def browse(self, subject: str, after: int, limit: int) -> list[Message]:
        """Matching messages beyond a sequence, oldest first, from any replica."""
        query: dict[str, object] = {"next_by_subj": subject}
        return await self._scan(self._stream(subject), query, after + 1, limit) or []

    async def backlog(self, consumer: str) -> Backlog | None:
        """How a consumer of the task stream stands."""
        try:
            answer = await self._requests.api(f"CONSUMER.INFO.{stream_name(self._prefix, Kind.TASKS)}.{consumer}")
        except ApiError as error:
            if error.code == CONSUMER_NOT_FOUND:
                return None
            raise error.translated() from error
        standing = _standing(answer)
        return Backlog(standing.num_pending, standing.num_ack_pending, standing.num_waiting)

    async def _scan(
        self, name: str, query: dict[str, object], start: int = 1, limit: int = SCAN_LIMIT
    ) -> list[Message] | None:
        """None: too many match."""
        found: list[Message] = []
        full = f"$JS.API.DIRECT.GET.{name}"
        while True:
            question = {**query, "seq": start, "batch": limit - len(found)}
            *answers, (end, _) = await self._requests.ask(full, json.dumps(question).encode(), is_last=_ends)
            code, text = parse_status(end)
            if code == _TOO_MANY:
                return None
            if code not in (204, 404):
                raise TransportError(f"{full}: the broker answers {code} {text}", subject=full)
            found += [parse_direct(block, body) for block, body in answers]
            # An answer may be cut short by its size; then the rest is pending.
            if code == 404 or len(found) >= limit or not answers:
                return found
            if broker_headers(end).get("Nats-Num-Pending", "0") == "0":
                return found
            start = found[-1].sequence + 1


def _ends(block: bytes) -> bool:
    return parse_status(block)[0] != 0
