"""What a supervisor does next (semantics G): its state, an event and ``now`` in; the next state and actions out.

A strategy is not a procedure but three rules that hold at any moment: whose stop is due (``_ask``), whose start is due
(``_start``), and whom a failure takes along (``_restart``). So whatever happens meanwhile, an order to stop, a second
failure, a new child, finds the supervisor able to act. Never waits, never starts anything; errors pass through unread.

Source: OTP, ``supervisor`` (``add_restart``, ``do_restart``, ``restart_multiple_children``, ``do_auto_shutdown``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from actorq.core.children import ChildState
from actorq.core.restarting import NO_SETBACK, Setback, counted
from actorq.model.supervision import ChildSpec, SupervisorSpec

CLEANUP = 5.0
"""Seconds that a cancelled child has to clean up."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the supervisor ends. ``child``, ``error``: whose failure it was; ``count``: the restarts in the window."""

    why: Literal["stopped", "done", "gave up", "not started"]
    child: str = ""
    error: Exception | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """A supervisor. ``restarts``: when it restarted children, as far as they count. ``generation``: the last given."""

    spec: SupervisorSpec
    children: tuple[ChildState, ...]
    restarts: tuple[float, ...] = ()
    generation: int = 0
    booted: bool = False
    ending: Ending | None = None

    @property
    def over(self) -> bool:
        """Whether it is ending and no child is left."""
        return self.ending is not None and not any(child.live for child in self.children)

    def child(self, name: str) -> ChildState | None:
        """The child of that name."""
        return next((child for child in self.children if child.spec.name == name), None)

    def put(self, child: ChildState) -> State:
        """With this child in its place; without it, if it is removed."""
        name = child.spec.name
        present = (child if other.spec.name == name else other for other in self.children)
        return replace(self, children=tuple(other for other in present if other.phase != "removed"))


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An incarnation is up."""

    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class Exited:
    """An incarnation has ended, with ``error`` or without. ``setback``: what its restart was promised to wait."""

    name: str
    generation: int
    error: Exception | None = None
    setback: Setback = NO_SETBACK


@dataclass(frozen=True, slots=True)
class Stop:
    """Order to end."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Order to restart one child. It does not count; a child that waits or has ended starts."""

    name: str


@dataclass(frozen=True, slots=True)
class Add:
    """Order to start one more child, in order before another one or as the last.

    Ignored where one of its name has not ended.
    """

    spec: ChildSpec
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Order to stop a child and to forget it."""

    name: str


@dataclass(frozen=True, slots=True)
class Configure:
    """Order to go by another spec from now on."""

    spec: SupervisorSpec


@dataclass(frozen=True, slots=True)
class Revise:
    """Order to go by another spec of the child of its name from now on. What runs goes on."""

    spec: ChildSpec


Event = Tick | Ready | Exited | Stop | Restart | Add | Remove | Configure | Revise


@dataclass(frozen=True, slots=True)
class Start:
    """Run an incarnation. ``failures``: how often in a row it has been restarted, for its backoff."""

    name: str
    generation: int
    failures: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask an incarnation to end in order."""

    name: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel an incarnation: it did not end in its ``stop_timeout``."""

    name: str


@dataclass(frozen=True, slots=True)
class Report:
    """Tell people. ``restarting``: restart number ``count`` in the window follows in ``delay`` seconds.

    ``ended``: it failed and is not restarted. ``failed stopping``: it failed while it was stopped. ``left out``: a
    child added later could not be started. ``stuck``: cancelled, it has not ended and is waited for no more.
    """

    name: str
    what: Literal["restarting", "ended", "failed stopping", "left out", "stuck"]
    error: Exception | None = None
    count: int = 0
    delay: float = 0.0


Action = Start | Ask | Cancel | Report
_Step = tuple[State, tuple[Action, ...]]
_Due = tuple[State, Action] | None


def boot(spec: SupervisorSpec, children: tuple[ChildSpec, ...]) -> State:
    """A supervisor that has yet to start its children: the first step does."""
    return State(spec, tuple(ChildState(child) for child in children))


def step(state: State, event: Event, now: float) -> _Step:
    """What ``event`` leads to at ``now`` (seconds of any clock that only goes forward); actions in their order."""
    state, told = _handled(state, event, now)
    actions = list(told)
    while (due := _expire(state, now) or _ask(state, now) or _start(state, now)) is not None:
        state, action = due
        actions.append(action)
    if state.ending is None and not any(child.fresh for child in state.children):
        state = replace(state, booted=True)
    return state, tuple(actions)


def wake_at(state: State, now: float) -> float:
    """When time alone may change something: a Tick is due then."""
    times = [child.due if child.phase == "waiting" else child.deadline for child in state.children]
    return min((time for time in times if time > now), default=math.inf)


def _handled(state: State, event: Event, now: float) -> _Step:
    match event:
        case Tick():
            return state, ()
        case Ready() | Exited():
            child = state.child(event.name)
            if child is None or child.generation != event.generation or not child.live:
                return state, ()
            return _exited(state, child, event, now) if isinstance(event, Exited) else (_ready(state, child, now), ())
        case Stop():
            return _end(state, Ending("stopped")), ()
        case Configure() | Revise():
            return _configured(state, event), ()
        case Restart() | Add() | Remove():
            return _ordered(state, event, now) if state.ending is None else state, ()


def _configured(state: State, order: Configure | Revise) -> State:
    if isinstance(order, Configure):
        return replace(state, spec=order.spec)
    child = state.child(order.spec.name)
    return state if child is None else state.put(replace(child, spec=order.spec))


def _ready(state: State, child: ChildState, now: float) -> State:
    return state.put(child.moved("ready", fresh=False, since=now)) if child.phase == "starting" else state


def _exited(state: State, child: ChildState, event: Exited, now: float) -> _Step:
    """An incarnation is gone: what becomes of its child, and of the supervisor? To end unready is to fail."""
    name, error, kind = child.spec.name, event.error, child.spec.restart
    unready = child.phase == "starting"
    failed = error is not None or unready
    child = replace(child, since=None, error=error or child.error)
    if child.stopping:
        return state.put(child.stopped()), (Report(name, "failed stopping", error),) if failed else ()
    if unready and child.fresh:
        if state.booted:
            return state.put(child.moved("drop")), (Report(name, "left out", error),)
        return _end(state.put(child.moved("end")), Ending("not started", name, error)), ()
    if kind == "permanent" or (kind == "transient" and failed):
        return _restart(state, child, event, now)
    state = state.put(child.moved("end"))
    if child.spec.significant and _was_the_last(state):
        state = _end(state, Ending("done"))
    return state, (Report(name, "ended", error),) if failed else ()


def _was_the_last(state: State) -> bool:
    """Whether the end of a significant child ends the supervisor (G-8)."""
    left = any(child.spec.significant and child.phase != "ended" for child in state.children)
    return state.spec.auto_shutdown == "any" or (state.spec.auto_shutdown == "all" and not left)


def _restart(state: State, culprit: ChildState, event: Exited, now: float) -> _Step:
    """Count a restart (G-4); have the culprit, and whom the strategy takes along, start again (G-3, G-5)."""
    spec, name, setback = state.spec, culprit.spec.name, event.setback
    restarts = counted(state.restarts, now, spec.within)
    failures = 1 if setback.rested else culprit.failures + 1
    state = replace(state, restarts=restarts).put(culprit.moved("fail", failures=failures, due=now + setback.delay))
    if len(restarts) > spec.max_restarts:
        return _end(state, Ending("gave up", name, event.error, len(restarts))), ()
    names = [child.spec.name for child in state.children]
    first = {"one_for_one": len(names), "rest_for_one": names.index(name), "one_for_all": 0}[spec.strategy]
    along = tuple(child.taken_along() for child in state.children[first:])
    report = Report(name, "restarting", event.error, len(restarts), setback.delay)
    return replace(state, children=state.children[:first] + along), (report,)


def _end(state: State, ending: Ending) -> State:
    """Have all children stop. The first reason to end stays."""
    if state.ending is not None:
        return state
    return replace(state, ending=ending, children=tuple(child.leaving("ended") for child in state.children))


def _ordered(state: State, order: Restart | Add | Remove, now: float) -> State:
    if isinstance(order, Add):
        old = state.child(order.spec.name)
        if old is not None and old.phase != "ended":
            return state
        state = state if old is None else state.put(old.leaving("removed"))
        at = next((i for i, each in enumerate(state.children) if each.spec.name == order.before), len(state.children))
        return replace(state, children=(*state.children[:at], ChildState(order.spec), *state.children[at:]))
    child = state.child(order.name)
    if child is None or child.then == "removed":
        return state
    if isinstance(order, Remove):
        return state.put(child.leaving("removed"))
    child = replace(child, due=now)
    return state.put(child.moved("revive") if child.phase == "ended" else child.leaving("waiting"))


def _expire(state: State, now: float) -> _Due:
    """The next child whose time to stop is over: cancelled first, then no longer waited for (G-9)."""
    for child in state.children:
        if child.deadline <= now:
            if child.phase == "cancelled":
                return state.put(child.stopped()), Report(child.spec.name, "stuck")
            return state.put(child.moved("time out", deadline=now + CLEANUP)), Cancel(child.spec.name)
    return None


def _ask(state: State, now: float) -> _Due:
    """The next child to ask to end: the last in order; each at once where the others are not concerned (G-9)."""
    alone = state.ending is None and state.spec.strategy == "one_for_one"
    for child in reversed(state.children):
        if child.phase == "leaving":
            return state.put(child.moved("ask", deadline=now + child.spec.stop_timeout)), Ask(child.spec.name)
        if child.stopping and not alone:
            return None
    return None


def _start(state: State, now: float) -> _Due:
    """The next child to start.

    Under one_for_one a restart waits for nobody, a first start only for the first starts before it (G-2). Else all
    stops come before the first start, and each child waits until those before it are up (G-5); under one_for_all the
    first waits for the backoff of any.
    """
    strategy = state.spec.strategy
    alone = strategy == "one_for_one"
    if state.ending is not None or (not alone and any(child.stopping for child in state.children)):
        return None
    held_up = strategy == "one_for_all" and any(child.due > now for child in state.children)
    for child in state.children:
        if child.phase == "waiting" and child.due <= now and not (held_up and (child.fresh or not alone)):
            state = replace(state, generation=state.generation + 1)
            restarts = child.restarts + (child.generation > 0)
            started = child.moved("start", generation=state.generation, restarts=restarts)
            return state.put(started), Start(child.spec.name, state.generation, child.failures)
        held_up = held_up or (child.fresh if alone else child.phase not in ("running", "ended"))
    return None
