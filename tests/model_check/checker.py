"""Explicit-state model checker: breadth first, so every counterexample is a shortest one.

Safety: an error on a step or a state is a violation. Liveness (S5): from every reachable state some path of steps that
are no faults reaches a goal.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

State = TypeVar("State")
STUCK = "S5 no way to the end"


class Checkable(Protocol[State]):
    """A transition system. A step is (label, is it a fault, next state, error)."""

    def initial(self) -> State: ...

    def compact(self, state: State, /) -> State:
        """The same state, sharing its parts with others: it will be kept."""
        ...

    def steps(self, state: State, /) -> Sequence[tuple[str, bool, State, str | None]]: ...

    def invariant(self, state: State, /) -> str | None: ...

    def goal(self, state: State, /) -> bool: ...


@dataclass(slots=True)
class Result:
    """What an exploration found. ``violations``: the first trace of each kind. ``complete``: nothing was left out."""

    states: int = 0
    edges: int = 0
    complete: bool = True
    violations: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def __str__(self) -> str:
        extent = "exhaustive" if self.complete else "NOT exhaustive"
        lines = [f"{self.states} states, {self.edges} edges, {extent}: {len(self.violations)} kinds of violation"]
        for kind, steps in sorted(self.violations.items()):
            lines += [f"  {kind}", *(f"    {k:2d} {step}" for k, step in enumerate(steps, 1))]
        return "\n".join(lines)


class Exploration(Generic[State]):
    """One run of the checker."""

    def __init__(self, model: Checkable[State], max_states: int, stop_at_first: bool) -> None:
        self._model = model
        self._max_states = max_states
        self._stop_at_first = stop_at_first
        self._result = Result()
        first = model.initial()
        self._index = {first: 0}
        self._states = [first]
        self._parent = array("l", [-1])
        self._label = [""]
        self._labels: dict[str, str] = {}
        self._source, self._target = array("l"), array("l")
        self._bad: set[int] = set()
        self._goals: list[int] = []

    def run(self) -> Result:
        result, cursor = self._result, 0
        while cursor < len(self._states):
            self._visit(cursor)
            cursor += 1
            if (self._stop_at_first and result.violations) or len(self._states) > self._max_states:
                result.complete = False
                break
        result.states = cursor
        if result.complete:
            self._liveness()
        return result

    def _visit(self, here: int) -> None:
        state, model = self._states[here], self._model
        if model.goal(state):
            self._goals.append(here)
        if (bad := model.invariant(state)) is not None:
            # A violating state is not expanded: one root cause, one report.
            self._bad.add(here)
            self._violate(bad, here)
            return
        for label, fault, reached, error in model.steps(state):
            self._result.edges += 1
            if error is not None:
                self._violate(error, here, label)
                continue
            there = self._index.get(reached)
            if there is None:
                there = self._add(model.compact(reached), here, label)
            if not fault:
                self._source.append(here)
                self._target.append(there)

    def _add(self, state: State, before: int, label: str) -> int:
        there = self._index[state] = len(self._states)
        self._states.append(state)
        self._parent.append(before)
        self._label.append(self._labels.setdefault(label, label))
        return there

    def _violate(self, kind: str, where: int, last: str | None = None) -> None:
        if kind not in self._result.violations:
            self._result.violations[kind] = self._trace(where) + ([] if last is None else [last])

    def _trace(self, where: int) -> list[str]:
        steps: list[str] = []
        while where > 0:
            steps.append(self._label[where])
            where = self._parent[where]
        return steps[::-1]

    def _liveness(self) -> None:
        back: dict[int, list[int]] = {}
        for here, there in zip(self._source, self._target, strict=True):
            back.setdefault(there, []).append(here)
        safe = bytearray(len(self._states))
        todo = list(self._goals)
        for goal in todo:
            safe[goal] = 1
        while todo:
            for before in back.get(todo.pop(), ()):
                if not safe[before]:
                    safe[before] = 1
                    todo.append(before)
        for where, state in enumerate(self._states):
            if not safe[where] and where not in self._bad:
                self._result.violations[STUCK] = [*self._trace(where), f"STATE {state}"]
                return


def explore(model: Checkable[State], *, max_states: int = 3_000_000, stop_at_first: bool = False) -> Result:
    """Visit every reachable state, or stop at the first violation."""
    with _no_collection():
        return Exploration(model, max_states, stop_at_first).run()


@contextmanager
def _no_collection() -> Generator[None, None, None]:
    # Millions of tuples without cycles: each full collection would walk all of them for nothing.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
