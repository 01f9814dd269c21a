"""One store: messages by sequence and by subject, and the ids that it has seen. Knows no time but what it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from actorq.model.message import Message, Publication

from actorq_memory.subjects import matches, split

Sequences = dict[int, None]
"""An ordered set: the sequences of one subject, oldest first."""


class Store:
    """``single``: a subject keeps its newest message only. ``age``: seconds that a message without a ttl stays."""

    def __init__(self, *, single: bool = False, age: float | None = None) -> None:
        self.single = single
        self.age = age
        self._last = 0
        self._messages: dict[int, Message] = {}
        self._heads: dict[str, dict[str, Sequences]] = {}
        self._lasts: dict[str, dict[str, None]] = {}
        self._seen: dict[str, int] = {}
        self._seen_at: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._messages

    def message(self, sequence: int) -> Message | None:
        return self._messages.get(sequence)

    def add(self, publication: Publication, now: float) -> Message:
        """Store at the next sequence; what was on the subject stays."""
        self._last += 1
        subject = publication.subject
        message = Message(subject, bytes(publication.body), dict(publication.headers), self._last, now)
        self._messages[self._last] = message
        head, last = split(subject)
        self._heads.setdefault(head, {}).setdefault(last, {})[self._last] = None
        self._lasts.setdefault(last, {})[head] = None
        return message

    def remove(self, sequence: int) -> Message | None:
        """Take a message out; None if it is gone already."""
        message = self._messages.pop(sequence, None)
        if message is None:
            return None
        head, last = split(message.subject)
        sequences = self._heads[head][last]
        del sequences[sequence]
        if not sequences:
            self._drop_subject(head, last)
        return message

    def _drop_subject(self, head: str, last: str) -> None:
        del self._heads[head][last]
        if not self._heads[head]:
            del self._heads[head]
        del self._lasts[last][head]
        if not self._lasts[last]:
            del self._lasts[last]

    def older(self, message: Message) -> list[int]:
        """Sequences on the same subject before this one."""
        head, last = split(message.subject)
        return [sequence for sequence in self._heads[head][last] if sequence < message.sequence]

    def newest(self, pattern: str) -> int:
        """The highest sequence on a subject or filter; 0 if there is none."""
        return max((next(reversed(sequences)) for sequences in self._find(pattern)), default=0)

    def newest_of_each(self, pattern: str) -> list[Message]:
        """The newest message of every matching subject, oldest first."""
        found = sorted(next(reversed(sequences)) for sequences in self._find(pattern))
        return [self._messages[sequence] for sequence in found]

    def waiting(self, pattern: str) -> Iterable[int]:
        """Every sequence that matches, in order."""
        return sorted(sequence for sequences in self._find(pattern) for sequence in sequences)

    def _find(self, pattern: str) -> Iterator[Sequences]:
        # The last token has the many values (semantics B-2), so a filter that names it never walks the messages.
        head, last = split(pattern)
        heads: Iterable[str] = (head,)
        if "*" in head:
            candidates = self._heads if last == "*" else self._lasts.get(last, ())
            heads = (candidate for candidate in candidates if matches(head, candidate))
        for known in heads:
            lasts = self._heads.get(known, {})
            if last == "*":
                yield from lasts.values()
            elif last in lasts:
                yield lasts[last]

    def seen(self, msg_id: str, since: float) -> int | None:
        """The sequence stored under this id at or after ``since``, whether or not it is still there."""
        while self._seen_at and self._seen_at[0][0] < since:
            del self._seen[self._seen_at.popleft()[1]]
        return self._seen.get(msg_id)

    def remember(self, msg_id: str, message: Message) -> None:
        self._seen[msg_id] = message.sequence
        self._seen_at.append((message.at, msg_id))
