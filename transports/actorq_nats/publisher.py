"""Confirmed publishing, pipelined: many messages in flight, each confirmation led back to its message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import anyio
import msgspec

from actorq.model.message import Confirmation, Failed, Publication, Stored
from actorq_nats.connection import Connection
from actorq_nats.errors import ApiError, confirmation, denied, no_responders, not_confirmed, not_written
from actorq_nats.iothread import Way
from actorq_nats.wire import parse_status

MAX_FLYING = 4_096
MAX_FLYING_BYTES = 2 * 1024 * 1024
"""Beyond these, messages wait their turn: what was not written surely was not stored."""
LONGEST_TIMEOUT = 31_536_000.0
"""A year: uvloop has no timers without an end."""


class ErrorBody(msgspec.Struct):
    """The error part of any answer of the broker's."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    seq: int = 0
    duplicate: bool = False
    error: ErrorBody | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class Batch:
    """The messages of one ``publish`` call on their way. Made by the application, then left to the publisher.

    ``lines``: what to write for each message, Failed where that is hopeless. ``first``: the token of the first one.
    """

    __slots__ = ("abandoned", "answers", "done", "first", "lines", "messages", "missing", "next", "timeout", "timer")

    def __init__(
        self, messages: Sequence[Publication], lines: Sequence[bytes | Failed], first: int, timeout: float
    ) -> None:
        self.messages = messages
        self.lines = [b"" if isinstance(line, Failed) else line for line in lines]
        self.answers: list[Confirmation | None] = [line if isinstance(line, Failed) else None for line in lines]
        self.missing = self.answers.count(None)
        self.first = first
        self.timeout = timeout
        self.next = 0
        self.abandoned = False
        self.timer: asyncio.TimerHandle | None = None
        self.done = anyio.Event()

    def finish(self) -> None:
        """Called in the application's loop."""
        self.done.set()


class Publisher:
    """Belongs to the I/O loop."""

    def __init__(self, connection: Connection, home: Way, inbox: str) -> None:
        """``inbox``: what the reply subjects begin with; a batch's lines have ``inbox`` and token as reply."""
        self._connection = connection
        self._home = home
        self._inbox = inbox
        self._skip = len(inbox)
        self._loop = connection.loop
        self._queue: deque[Batch] = deque()
        self._flying: dict[int, Batch] = {}
        self._flying_bytes = 0
        self._pumping = False

    def submit(self, batch: Batch) -> None:
        """Take a batch; its confirmations are complete after its timeout at the latest."""
        if batch.missing == 0:
            self._home.post(Batch.finish, batch)
            return
        batch.timer = self._loop.call_later(min(batch.timeout, LONGEST_TIMEOUT), self._expire, batch)
        self._queue.append(batch)
        self._pump()

    def _pump(self) -> None:
        self._pumping = False
        connection, flying = self._connection, self._flying
        if connection.link is None:
            return
        while self._queue and len(flying) < MAX_FLYING and self._flying_bytes < MAX_FLYING_BYTES:
            batch = self._queue[0]
            index = batch.next
            if index == len(batch.lines) or batch.abandoned or batch.missing == 0:
                self._queue.popleft()
                continue
            batch.next += 1
            if line := batch.lines[index]:
                flying[batch.first + index] = batch
                self._flying_bytes += len(line)
                connection.write(line)

    def _confirmed(self, subject: bytes, _reply: bytes, body: bytes, block: bytes) -> None:
        token = int(subject[self._skip :])
        batch = self._flying.get(token)
        if batch is None:
            return
        publication = batch.messages[token - batch.first]
        if not body and parse_status(block)[0] == 503:
            self._settle(batch, token, no_responders(publication.subject))
            return
        answer = _decode(body)
        error = answer.error
        if error is None:
            self._settle(batch, token, Stored(answer.seq, answer.duplicate))
        else:
            failure = ApiError(error.err_code, error.code, error.description, publication.subject)
            self._settle(batch, token, confirmation(failure))

    def _settle(self, batch: Batch, token: int, answer: Confirmation) -> None:
        index = token - batch.first
        if self._flying.pop(token, None) is not None:
            self._flying_bytes -= len(batch.lines[index])
        batch.lines[index] = b""
        batch.answers[index] = answer
        batch.missing -= 1
        if batch.missing == 0:
            if batch.timer is not None:
                batch.timer.cancel()
            self._home.post(Batch.finish, batch)
        if self._queue and not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _expire(self, batch: Batch) -> None:
        why = f"nothing was heard for {batch.timeout:g} s"
        if self._connection.link is None:
            why = str(self._connection.unavailable())
        self._fail(batch, why, all_of_it=True)

    def _fail(self, batch: Batch, why: str, *, all_of_it: bool) -> None:
        """Answer what is not confirmed: unknown where it was written, surely not stored where not."""
        for index in range(len(batch.lines) if all_of_it else batch.next):
            if batch.answers[index] is None:
                subject = batch.messages[index].subject
                answer = not_confirmed(subject, why) if index < batch.next else not_written(subject, why)
                self._settle(batch, batch.first + index, answer)

    def close(self, why: str) -> None:
        """Answer whatever still waits."""
        for batch in dict.fromkeys([*self._queue, *self._flying.values()]):
            self._fail(batch, why, all_of_it=True)

    # Listener

    def connected(self) -> None:
        self._connection.subscribe(f"{self._inbox}*", self._confirmed)
        self._pump()

    def disconnected(self) -> None:
        why = "the connection was lost before the broker answered"
        for batch in dict.fromkeys(self._flying.values()):
            self._fail(batch, why, all_of_it=False)

    def denied(self, action: str, subject: str) -> bool:
        found = False
        for token, batch in list(self._flying.items()):
            publication = batch.messages[token - batch.first]
            if action == "publish" and publication.subject.lower() == subject:
                found = True
                error = denied(action, publication.subject, self._connection.user)
                self._settle(batch, token, Failed(error, permanent=True))
        return found
