"""Applies a changed configuration to a running worker (SIGHUP): live where that is possible, else actor by actor."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

import anyio

from actorq.config.reload import Changes
from actorq.core.tree import Node
from actorq.errors import TransportError
from actorq.model.supervision import ChildSpec
from actorq.runtime.runner import ActorRunner
from actorq.runtime.seat import Child
from actorq.runtime.supervise import Supervisor

log: logging.Logger = logging.getLogger("actorq.worker")


class Reloading:
    """``child``: makes a supervisor's child of a part of the tree; ``bounded``: gives an actor's spec its time to stop.

    ``rescan``: finds all mailboxes.

    ``grace``: seconds that running tasks have before an actor is restarted or taken out, as of now.
    """

    def __init__(
        self,
        root: Supervisor,
        runners: Mapping[str, ActorRunner],
        *,
        child: Callable[[Node], Child],
        bounded: Callable[[ChildSpec], ChildSpec],
        rescan: Callable[[], Awaitable[None]],
        grace: Callable[[], float],
    ) -> None:
        self._root = root
        self._runners = runners
        self._child = child
        self._bounded = bounded
        self._rescan = rescan
        self._grace = grace

    async def apply(self, changes: Changes) -> None:
        """Make it so. No message is lost or run twice: what runs may end first, what waits stays where it is."""
        for name, policy in changes.policies.items():
            self._runners[name].change(policy)
        for path, spec in changes.supervisors.items():
            self._supervisor(path).configure(spec)
        await self._drain({*changes.restart, *self._actors(changes.removed)})
        for path in changes.removed:
            parent, _, name = path.rpartition("/")
            await self._supervisor(parent).remove(name)
        for added in changes.added:
            # Those of the new order that come after it and stay: it is to start before the first of them.
            stay = [name for name in added.after if name in self._supervisor(added.parent).children]
            self._supervisor(added.parent).add(self._child(added.node), before=next(iter(stay), None))
        self._revise(changes.children)
        for name in changes.restart:
            await self._runners[name].leave()
        await self._find_mailboxes()
        for name in changes.restart:
            self._root.restart(name)

    def _revise(self, seen: Mapping[str, ChildSpec]) -> None:
        """From below, as what a supervisor has below it counts for the time that it may take to stop."""
        for path, supervisor in reversed([*self._root.below()]):
            child = supervisor.children[path.rpartition("/")[2]]
            spec = seen.get(path, child.spec)
            supervisor.revise(spec if child.supervisor is not None else self._bounded(spec))

    def _supervisor(self, path: str) -> Supervisor:
        """The supervisor at a path of the tree."""
        found = self._root
        for name in path.split("/")[1:]:
            below = found.children[name].supervisor
            assert below is not None, f"{path} is an actor"
            found = below
        return found

    def _actors(self, paths: tuple[str, ...]) -> set[str]:
        """The actors at or below these paths."""
        below = [place for place, _ in self._root.below()]
        names = {place.rsplit("/", 1)[1] for place in below if place.startswith(tuple(f"{path}/" for path in paths))}
        return (names | {path.rsplit("/", 1)[1] for path in paths}) & set(self._runners)

    async def _drain(self, names: set[str]) -> None:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(self._runners[name].drain, self._grace())

    async def _find_mailboxes(self) -> None:
        """Those that the actors have now, perhaps in other queues. What waits in the old ones is served, too."""
        try:
            await self._rescan()
        except TransportError as error:
            log.warning("the broker does not answer (%s): mailboxes are bound later", error)


def told(problems: Iterable[str]) -> bool:
    """Log why a new configuration is refused."""
    for problem in problems:
        log.error("%s", problem)
    log.error("the new configuration is refused; nothing has changed")
    return False


def summary(changes: Changes) -> str:
    """What it changes, in a few words."""
    parts = {
        "worker": changes.worker, "actors": changes.policies, "restarted": changes.restart,
        "supervisors": changes.supervisors, "removed": changes.removed,
        "added": [f"{added.parent}/{added.node.name}" for added in changes.added],
    }  # fmt: skip
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names) or "nothing has changed"
