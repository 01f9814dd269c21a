"""One store: messages by sequence and by subject, and the ids that it has seen. Knows no time but what it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from actorq.model.message import Message, Publication
from actorq_memory.subjects import last_token, matches


class Store:
    """``single``: a subject keeps its newest message only. ``age``: seconds that a message without a ttl stays."""

    def __init__(self, *, single: bool = False, age: float | None = None) -> None:
        self.single = single
        self.age = age
        self._last = 0
        self._messages: dict[int, Message] = {}
        # The last token is the one with many values (semantics B-2), so a pattern that names it walks few messages.
        self._by_last: dict[str, dict[int, Message]] = {}
        self._seen: dict[str, int] = {}
        self._seen_at: deque[tuple[float, str]] = deque()

    def message(self, sequence: int) -> Message | None:
        return self._messages.get(sequence)

    def add(self, publication: Publication, now: float) -> Message:
        """Store at the next sequence; what was on the subject stays."""
        self._last += 1
        subject = publication.subject
        message = Message(subject, bytes(publication.body), dict(publication.headers), self._last, now)
        self._messages[self._last] = self._by_last.setdefault(last_token(subject), {})[self._last] = message
        return message

    def remove(self, sequence: int) -> Message | None:
        """Take a message out; None if it is gone already."""
        message = self._messages.pop(sequence, None)
        if message is not None:
            last = last_token(message.subject)
            del self._by_last[last][sequence]
            if not self._by_last[last]:
                del self._by_last[last]
        return message

    def matching(self, pattern: str) -> Iterator[Message]:
        """What lies on a subject or filter, newest first. Not to be changed meanwhile."""
        candidates = self._candidates(pattern)
        return (message for message in reversed(candidates.values()) if matches(pattern, message.subject))

    def _candidates(self, pattern: str) -> dict[int, Message]:
        last = last_token(pattern)
        return self._messages if last == "*" else self._by_last.get(last, {})

    def newest(self, pattern: str) -> Message | None:
        return next(self.matching(pattern), None)

    def newest_of_each(self, pattern: str) -> list[Message]:
        """The newest message of every matching subject, newest first."""
        found: dict[str, Message] = {}
        for message in self.matching(pattern):
            found.setdefault(message.subject, message)
        return list(found.values())

    def oldest(self, pattern: str, after: int, limit: int) -> list[Message]:
        """What lies on a subject or filter, oldest first, of a sequence above ``after``."""
        candidates = self._candidates(pattern)
        found = (m for m in candidates.values() if m.sequence > after and matches(pattern, m.subject))
        return list(islice(found, limit))

    def seen(self, msg_id: str, since: float) -> int | None:
        """The sequence stored under this id at or after ``since``, whether or not it is still there."""
        while self._seen_at and self._seen_at[0][0] < since:
            del self._seen[self._seen_at.popleft()[1]]
        return self._seen.get(msg_id)

    def remember(self, msg_id: str, message: Message) -> None:
        self._seen[msg_id] = message.sequence
        self._seen_at.append((message.at, msg_id))
