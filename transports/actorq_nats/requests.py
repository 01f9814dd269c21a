"""Requests to the broker's API: one inbox for all answers, each led back to its question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from actorq.errors import BrokerUnavailable
from actorq_nats.connection import Connection
from actorq_nats.errors import ApiError, NobodyAnswers, denied
from actorq_nats.publisher import ErrorBody
from actorq_nats.wire import parse_status, publish_line

TIMEOUT = 5.0
T = TypeVar("T")


class _Envelope(msgspec.Struct):
    error: ErrorBody | None = None


_error_of = msgspec.json.Decoder(_Envelope).decode


@dataclass(slots=True, eq=False)
class _Question:
    subject: str
    # Tells from each answer whether it was the last.
    is_last: Callable[[bytes], bool]
    answered: asyncio.Future[None]
    answers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])


class Requests:
    """Belongs to the I/O loop. Answers are pairs of header block and body."""

    def __init__(self, connection: Connection, inbox: str) -> None:
        self._connection = connection
        self._inbox = inbox
        self._loop = connection.loop
        self._open: dict[int, _Question] = {}
        self._asked = 0

    async def ask(
        self, subject: str, body: bytes, *, is_last: Callable[[bytes], bool], timeout: float = TIMEOUT
    ) -> list[tuple[bytes, bytes]]:
        """Send a question and collect its answers up to the last one; waits for a connection first.

        ``is_last`` looks at the header block. Raises BrokerUnavailable or PermissionDenied.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._connection.ready()
                return await self._ask(subject, body, is_last)
        except TimeoutError:
            if self._connection.link is None:
                raise self._connection.unavailable() from None
            raise BrokerUnavailable(
                f"{subject}: no answer from the broker within {timeout:g} s", subject=subject
            ) from None

    async def _ask(self, subject: str, body: bytes, is_last: Callable[[bytes], bool]) -> list[tuple[bytes, bytes]]:
        self._asked += 1
        token = self._asked
        question = self._open[token] = _Question(subject, is_last, self._loop.create_future())
        self._connection.write(publish_line(subject, f"{self._inbox}{token}", body))
        try:
            await question.answered
        finally:
            del self._open[token]
        return question.answers

    async def api(self, subject: str, body: object = None, *, timeout: float = TIMEOUT) -> bytes:
        """The body of one answer of ``$JS.API.{subject}``. Raises ApiError, BrokerUnavailable or PermissionDenied."""
        full = f"$JS.API.{subject}"
        data = b"" if body is None else json.dumps(body).encode()
        ((_, answer),) = await self.ask(full, data, is_last=_any, timeout=timeout)
        error = _error_of(answer).error
        if error is not None:
            raise ApiError(error.err_code, error.code, error.description, full)
        return answer

    async def json(self, subject: str, body: object = None, *, timeout: float = TIMEOUT) -> dict[str, Any]:
        """The same, decoded."""
        answer: dict[str, Any] = json.loads(await self.api(subject, body, timeout=timeout))
        return answer

    def _answered(self, subject: bytes, _reply: bytes, body: bytes, block: bytes) -> None:
        question = self._open.get(int(subject[len(self._inbox) :]))
        if question is None or question.answered.done():
            return
        if block and parse_status(block)[0] == 503:
            what = f"{question.subject}: nobody answers (a leader is being elected, or JetStream is not there)"
            question.answered.set_exception(NobodyAnswers(what, subject=question.subject))
            return
        question.answers.append((block, body))
        if question.is_last(block):
            question.answered.set_result(None)

    # Listener

    def connected(self) -> None:
        self._connection.subscribe(f"{self._inbox}*", self._answered)

    def disconnected(self) -> None:
        for question in self._open.values():
            if not question.answered.done():
                question.answered.set_exception(self._connection.unavailable())

    def denied(self, action: str, subject: str) -> bool:
        found = False
        for question in self._open.values():
            if action == "publish" and question.subject.lower() == subject and not question.answered.done():
                found = True
                question.answered.set_exception(denied(action, question.subject, self._connection.user))
        return found


def _any(_block: bytes) -> bool:
    return True
