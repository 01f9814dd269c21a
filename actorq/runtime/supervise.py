"""Supervisors as the rest of the engine sees them: made of a spec and children, run, given orders, looked at.

What they decide is ``core.supervision``; how it is done to tasks is ``runtime.incarnations``.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import anyio

from actorq.core.children import ChildState
from actorq.core.reporting import failure, one_line
from actorq.core.supervision import Add, Configure, Remove, Restart, Revise
from actorq.errors import InternalError, SupervisionError, UsageError
from actorq.model.supervision import ChildSpec, SupervisorSpec
from actorq.runtime.incarnations import Incarnations, patient
from actorq.runtime.seat import Child, Seat

__all__ = ["Child", "Seat", "Supervisor", "nested"]

_STATES = {"leaving": "stopping", "asked": "stopping", "cancelled": "stopping", "ended": "stopped"}


class Supervisor:
    """Starts its children in order, restarts them as its ``spec`` says, and gives up when that does not help.

    Orders (``restart``, ``revise``, ``add``, ``remove``, ``configure``) may be given at any time, by tasks of the
    event loop that it runs in. ``draw`` gives a random number from 0 up to 1, for the jitter.
    """

    def __init__(
        self, spec: SupervisorSpec, children: Sequence[Child], *, draw: Callable[[], float] = random.random
    ) -> None:
        self.spec: SupervisorSpec = spec
        self.children: dict[str, Child] = {child.spec.name: child for child in children}
        self.incarnations: Incarnations | None = None
        self._draw = draw
        if len(self.children) < len(children):
            raise UsageError(f"supervisor {spec.name!r} has two children of one name: rename one")

    async def run(self, seat: Seat) -> None:
        """Run until ``seat.stopping``, or until ``auto_shutdown`` applies; the children end in reverse order.

        Raises RestartIntensityExceeded if it gives up, SupervisionError if a child cannot be started for the first
        time, when all children have ended; the last error is the cause. What a child raises besides Exception passes
        as it is. If cancelled, all children are cancelled together.
        """
        own = self.incarnations = Incarnations(self.spec, self.children, seat, self._draw)
        try:
            await own.serve()
        except BaseExceptionGroup as group:
            error = _sole(group)
            raise error from error.__cause__
        finally:
            if self.incarnations is own:
                self.incarnations = None
        if own.state.ending is None:
            raise InternalError(f"{seat.path} was cancelled by none of its own: please report this")
        if (failed := failure(seat.path, own.state.spec, own.state.ending)) is not None:
            raise failed

    def restart(self, path: str) -> None:
        """Have a child below, found by its name or path, stop and start again: it alone, and not counted as a restart.

        The own name means each own child. Raises UsageError for an unknown path, SupervisionError if the supervisor of
        the child is not running.
        """
        supervisor, names = (self, list(self.children))
        if path != self.spec.name:
            supervisor, name = self.find(path)
            names = [name]
        if supervisor.incarnations is None:
            raise SupervisionError(f"{path} cannot be restarted now: its supervisor is not running", path=path)
        for name in names:
            supervisor.incarnations.post(Restart(name))

    def serves(self, name: str) -> bool:
        """Whether a child below, of that name, is to run: its supervisor does, and it has not ended for good."""
        for place, supervisor in self.below():
            if place.rpartition("/")[2] == name and supervisor.incarnations is not None:
                child = supervisor.incarnations.state.child(name)
                return child is not None and child.phase != "ended"
        return False

    def revise(self, spec: ChildSpec) -> None:
        """Think of the own child of that name as ``spec`` has it from now on. What runs goes on."""
        name = spec.name
        if name not in self.children:
            raise self._unknown(name)
        child = self.children[name] = dataclasses.replace(self.children[name], spec=spec)
        if self.incarnations is not None:
            self.incarnations.children[name] = child
            self.incarnations.post(Revise(patient(child)))

    def add(self, child: Child, before: str | None = None) -> None:
        """Have one more own child start, in order before another one or as the last.

        If it cannot be started, it is left out: see the log.
        Raises UsageError if there is one of its name that has not ended.
        """
        name, own = child.spec.name, self.incarnations
        present = own.state.child(name) if own is not None else None
        if present.phase != "ended" if present is not None else name in self.children:
            raise UsageError(f"{self.spec.name} has a child {name!r}: wait until it is removed, or replace it")
        self.children.pop(name, None)
        at = list(self.children).index(before) if before in self.children else len(self.children)
        later = list(self.children.items())[at:]
        for moved, _ in later:
            del self.children[moved]
        self.children |= {name: child, **dict(later)}
        if own is not None:
            own.children[name] = child
            own.post(Add(patient(child), before))

    async def remove(self, name: str) -> None:
        """Stop and forget an own child; return when it has ended. If cancelled, it is stopped all the same."""
        if self.children.pop(name, None) is None:
            raise self._unknown(name)
        if (own := self.incarnations) is not None:
            own.post(Remove(name))
            while own.state.child(name) is not None and not own.state.over:
                await own.changed.wait()

    def configure(self, spec: SupervisorSpec) -> None:
        """Go by another spec from now on. A backoff that was drawn before stays."""
        self.spec = spec
        if self.incarnations is not None:
            self.incarnations.post(Configure(spec))

    def find(self, path: str) -> tuple[Supervisor, str]:
        """The supervisor and the name of a child below, from its name (``charge``) or path (``root/billing/charge``).

        Raises UsageError if there is none, or several of that name.
        """
        found = {place: supervisor for place, supervisor in self.below() if path in (place, place.rsplit("/", 1)[1])}
        if not found:
            raise self._unknown(path)
        if len(found) > 1:
            raise UsageError(f"{path!r} is ambiguous: give one of {', '.join(found)}")
        ((place, supervisor),) = found.items()
        return supervisor, place.rsplit("/", 1)[1]

    def below(self, above: str = "") -> Iterator[tuple[str, Supervisor]]:
        """The path of every child below, in order of start, each with its supervisor. ``above``: the own path."""
        for name, child in self.children.items():
            place = f"{above or self.spec.name}/{name}"
            yield place, self
            if child.supervisor is not None:
                yield from child.supervisor.below(place)

    def _unknown(self, path: str) -> UsageError:
        known = ", ".join(place for place, _ in self.below())
        return UsageError(f"there is no child {path!r} below {self.spec.name}: known are {known or 'none'}")

    def tree(self, path: str = "") -> dict[str, Any]:
        """All of it as plain values: a node has name, path, kind, state, restarts, uptime (seconds) and last error.

        ``path``: where the supervisor is, if not at the root.
        """
        own, path = self.incarnations, path or self.spec.name
        if own is None:
            phase, since, states = "stopped", None, tuple(ChildState(child.spec) for child in self.children.values())
        else:
            phase = "stopping" if own.state.ending else "running" if own.state.booted else "starting"
            since, states = own.since, own.state.children
        known = self.children if own is None else own.children
        nodes = [_node(state, known[state.spec.name], path, running=own is not None) for state in states]
        node = _described(self.spec.name, path, "supervisor", phase, since)
        return node | {"strategy": self.spec.strategy, "children": nodes}


def nested(supervisor: Supervisor) -> Child:
    """A supervisor as a child of another one."""
    spec = supervisor.spec
    own = ChildSpec(name=spec.name, restart=spec.restart, significant=spec.significant, stop_timeout=spec.stop_timeout)
    return Child(own, supervisor.run, supervisor)


def _node(state: ChildState, child: Child, above: str, *, running: bool) -> dict[str, Any]:
    name, path, phase = state.spec.name, f"{above}/{state.spec.name}", _STATES.get(state.phase, state.phase)
    if phase == "waiting":
        phase = "stopped" if not running else "backoff" if state.due > anyio.current_time() else "starting"
    node = _described(name, path, "actor", phase, state.since, restarts=state.restarts, error=state.error)
    return node if child.supervisor is None else child.supervisor.tree(path) | node | {"kind": "supervisor"}


def _described(
    name: str, path: str, kind: str, phase: str, since: float | None, restarts: int = 0, error: Exception | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "path": path,
        "kind": kind,
        "state": phase,
        "restarts": restarts,
        "uptime": None if since is None else round(anyio.current_time() - since, 3),
        "error": None if error is None else one_line(error),
    }


def _sole(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception of a group of one, however deep; else the group."""
    first, *others = group.exceptions
    if others:
        return group
    return _sole(cast("BaseExceptionGroup[BaseException]", first)) if isinstance(first, BaseExceptionGroup) else first
