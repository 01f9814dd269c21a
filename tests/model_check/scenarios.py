"""Bounds within which every interleaving is explored."""

from __future__ import annotations

from tests.model_check.world import Scenario, Task

ONE = (Task(0),)
IGNORED = (Task(0, norec=True),)
CHAIN = (Task(0, next=1, root=2), Task(1, root=2))
UNIQUE = (Task(0), Task(0))
UNIQUE_CHAIN = (Task(0, next=2, root=3), Task(0), Task(2, root=3))
# The next step is of a unique actor whose key another task may hold.
INNER_UNIQUE = (Task(0, next=1, root=3), Task(1, root=3), Task(1))


def _bounds(tasks: tuple[Task, ...], nrec: int, **changed: object) -> Scenario:
    """Without snoozes and hand-backs unless told otherwise: to the protocol they are one more re-issue."""
    return Scenario(tasks, nrec)._replace(**({"snoozes": 0, "handbacks": 0} | changed))


SCENARIOS: dict[str, Scenario] = {
    "chain_unique": _bounds(INNER_UNIQUE, 4, second=2, crashes=1, lost=0, retries=0),
    "one": _bounds(ONE, 1),
    "one_all": _bounds(ONE, 1, crashes=1, snoozes=1, handbacks=1),
    "one_big": _bounds(ONE, 1, crashes=2, snoozes=1, handbacks=1),
    "chain_three": _bounds(CHAIN, 3, slots=3, crashes=1, lost=0),
    "one_schedule": _bounds(ONE, 1, send=("S",), crashes=2),
    "one_cancel": _bounds(ONE, 1, crashes=1, cancel=0, purge=True),
    "sched_cancel": _bounds(ONE, 1, send=("S",), crashes=1, cancel=0),
    "one_dead": _bounds(ONE, 1, crashes=1, dead=True),
    "dead_cancel": _bounds(ONE, 1, crashes=1, lost=0, dead=True, cancel=0, retries=0),
    "ignored": _bounds(IGNORED, 1, lost=0, crashes=2, retries=3),
    "chain": _bounds(CHAIN, 3, crashes=2),
    "chain_cancel": _bounds(CHAIN, 3, crashes=1, cancel=0),
    "chain_cancel_next": _bounds(CHAIN, 3, crashes=1, cancel=1, retries=0),
    "chain_dead": _bounds(CHAIN, 3, crashes=1, dead=True, retries=0),
    "unique": _bounds(UNIQUE, 2, send_unique=True, second=1, crashes=1, lost=0),
    "unique_chain": _bounds(UNIQUE_CHAIN, 4, send_unique=True, second=1, crashes=1, lost=0),
    "unique_cancel": _bounds(UNIQUE, 2, send_unique=True, second=1, crashes=1, lost=0, cancel=0, purge=True),
    "unique_dead": _bounds(UNIQUE, 2, send_unique=True, second=1, crashes=1, lost=0, retries=0, dead=True),
}

# A broker that is killed right after a delivery may forget that it delivered: D-2 tolerates one more run for it.
COUNT_LOST: dict[str, Scenario] = {
    "one_count_lost": _bounds(ONE, 1, crashes=2, lost=0, count_lost=True),
    "ignored_count_lost": _bounds(IGNORED, 1, lost=0, crashes=2, retries=3, count_lost=True),
}
