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

SMALL: dict[str, Scenario] = {
    "ignored": Scenario(IGNORED, 1, lost=0, crashes=2, retries=3),
    "chain_unique": Scenario(INNER_UNIQUE, 4, second=2, crashes=1, lost=0, retries=0),
    "unique": Scenario(UNIQUE, 2, send_unique=True, second=1, crashes=1, lost=0),
    "chain_three": Scenario(CHAIN, 3, slots=3, crashes=1, lost=0),
    "dead_cancel": Scenario(ONE, 1, crashes=1, lost=0, dead=True, cancel=0, retries=0),
    "one_schedule": Scenario(ONE, 1, send=("S",), crashes=2),
    "sched_cancel": Scenario(ONE, 1, send=("S",), crashes=1, cancel=0),
    "sched_purge": Scenario(ONE, 1, send=("S",), crashes=1, cancel=0, purge=True),
}

# Up to a minute and three quarters of a GiB each.
LARGE: dict[str, Scenario] = {
    "unique_dead": Scenario(UNIQUE, 2, send_unique=True, second=1, crashes=1, lost=0, retries=0, dead=True),
    "chain_cancel_next": Scenario(CHAIN, 3, crashes=1, cancel=1, retries=0),
    "one_cancel": Scenario(ONE, 1, crashes=1, cancel=0, purge=True),
    "unique_chain": Scenario(UNIQUE_CHAIN, 4, send_unique=True, second=1, crashes=1, lost=0),
    "one": Scenario(ONE, 1),
    "one_all": Scenario(ONE, 1, crashes=1, snoozes=1, handbacks=1),
    "one_dead": Scenario(ONE, 1, crashes=1, dead=True),
    "chain_cancel": Scenario(CHAIN, 3, crashes=1, cancel=0),
    "chain_dead": Scenario(CHAIN, 3, crashes=1, dead=True, retries=0),
    "unique_cancel": Scenario(UNIQUE, 2, send_unique=True, second=1, crashes=1, lost=0, cancel=0, purge=True),
    "chain": Scenario(CHAIN, 3, crashes=2),
    "one_big": Scenario(ONE, 1, crashes=2, snoozes=1, handbacks=1),
}

SCENARIOS = SMALL | LARGE

# A broker that is killed right after a delivery may forget that it delivered: D-2 tolerates one more run for it.
COUNT_LOST: dict[str, Scenario] = {
    "one": Scenario(ONE, 1, crashes=2, lost=0, count_lost=True),
    "ignored": Scenario(IGNORED, 1, lost=0, crashes=2, retries=3, count_lost=True),
}
