"""What the model of the delivery protocol is made of: the rules, a scenario's bounds, and one state of the world."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, TypeVar


@dataclass(frozen=True)
class Spec:
    """Each rule of the protocol as a switch: what goes wrong without it is a counterexample away."""

    resend_re: bool = False  # a retry after an unknown confirmation is a repeat: `re`, expected 0
    cons_re: bool = False  # every consequence goes out as a repeat, also the first time (relaxed in D-2)
    own_newer: bool = False  # look (a): only a newer copy of the own id counts, not one of the same unique key
    record_first: bool = False  # NOT a rule: reads (b) before (a); loses against a newer copy that ends in between
    refusal_looks: bool = False  # a refused re-issue looks as D-2 does, not a bare ack
    rec_no_msgid: bool = False  # (1) has no Msg-Id: a duplicate must not pass for stored
    retrying_gen: bool = False  # `retrying` carries its generation and refuses lower ones
    dead_msgid: bool = False  # dead retry has a Msg-Id of its own
    dead_cas_first: bool = False  # dead retry swaps only the version of the record that it read before its publish
    holder_gen: bool = False  # H-6 compares the generation of the holder with the one of its record
    purge_seq: bool = False  # cancel deletes by sequence, never by the key's subject
    cancel_re: bool = False  # a schedule moved to now by cancel carries `re`
    unique_by_id: bool = False  # inside a canvas a message is keyed by its id
    re_records: bool = False  # ignore_result: `re` or redelivered copies still write the record
    gen_max: bool = False  # a canceller's record takes the generation of the record that it replaces

    @classmethod
    def repaired(cls, **changed: bool) -> Spec:
        """The protocol as it is meant, with ``changed`` rules set otherwise."""
        return cls(**({f.name: f.name != "record_first" for f in fields(cls)} | changed))


class Task(NamedTuple):
    """``next``: its `then` frame; ``root``: the root's record (`end` frame); ``norec``: ignored, no continuation."""

    key: int
    next: int | None = None
    root: int | None = None
    norec: bool = False


class Scenario(NamedTuple):
    """Tasks and bounds: how many holders, faults of each kind, and who else meddles."""

    tasks: tuple[Task, ...]
    nrec: int
    send: tuple[str, ...] = ("T",)  # kinds of first publish to try: task or schedule
    send_unique: bool = False  # the first send expects 0
    second: int | None = None  # the task of a second sender of the same key
    slots: int = 2
    crashes: int = 3  # crashes and lease losses together
    lost: int = 1  # confirmations lost
    retries: int = 1  # re-issues by exception in all
    snoozes: int = 0  # to the protocol a snooze or a hand-back is one more re-issue
    handbacks: int = 0
    cancel: int | None = None  # task to cancel
    purge: bool = False  # cancel may purge a message without continuation
    dead: bool = False
    count_lost: bool = False  # a broker killed right after a delivery may forget it: redelivered as if first
    outcomes_only: bool = False  # a run too many is no violation; a task lost or a second outcome is


class Copy(NamedTuple):
    """A stored message. ``deliv``: 1 once delivered; ``post``: stored after cancel wrote its record."""

    seq: int
    kind: str
    task: int
    n: int
    g: int
    re: bool
    deliv: int
    held: int | None
    post: bool


class Hold(NamedTuple):
    """A holder between two atomic steps.

    ``late``, ``post``, ``old``: at its delivery the task had ended, was cancelled, had a newer copy.
    """

    pc: str
    seq: int
    task: int
    n: int
    g: int
    look: bool
    out: str | None = None
    og: int = 0
    ver: int = 0
    rep: bool = False
    late: bool = False
    post: bool = False
    old: bool = False
    ri: tuple[str, int] | None = None


class Rec(NamedTuple):
    """A record: outcome, generation, version."""

    out: str
    g: int
    ver: int


MsgId = tuple[str, int, int]
Pairs = tuple[tuple[int, int], ...]


class World(NamedTuple):
    """One state. ``budget``: crashes, lost, retries, snoozes, handbacks left. Pairs are of each task by generation."""

    copies: tuple[Copy, ...]
    holds: tuple[Hold | None, ...]
    recs: tuple[Rec | None, ...]
    msgids: frozenset[MsgId]
    sender: str
    second: tuple[str, int]
    x: int
    cancel: str
    dead: tuple[str, int, int, int]  # pc, task, version, generation
    letters: frozenset[tuple[int, int]]
    budget: tuple[int, ...]
    runs: Pairs
    extra: Pairs  # leases lost, snoozes and hand-backs
    started: frozenset[int]
    sent: frozenset[tuple[int, int, str]]  # consequences handed over

    def spend(self, which: int) -> World:
        """One fault of a kind less."""
        return self._replace(budget=put(self.budget, which, self.budget[which] - 1))


CRASHES, LOST, RETRIES, SNOOZES, HANDBACKS = range(5)
MAX_ATTEMPTS = 2
Step = tuple[str, bool, World, str | None]
Item = TypeVar("Item")


def bump(pairs: Pairs, task: int, g: int) -> Pairs:
    """One more for a task in a generation (all generations above 0 count together)."""
    first, later = pairs[task]
    return put(pairs, task, (first + (g < 1), later + (g >= 1)))


def put(items: tuple[Item, ...], i: int, value: Item) -> tuple[Item, ...]:
    """The tuple with one item replaced."""
    return (*items[:i], value, *items[i + 1 :])
