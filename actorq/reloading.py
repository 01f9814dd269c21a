"""Applies a changed configuration to a running worker (SIGHUP): live where that is possible, else actor by actor."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

import anyio

from actorq.config.reload import Changes
from actorq.core.tree import Node, Tree
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

    async def apply(self, changes: Changes, tree: Tree) -> None:
        """Make it so. No message is lost or run twice: what runs may end first, what waits stays where it is.

        What was left out because it could not be started gets another chance. What has ended for good stays so.
        """
        for name, policy in changes.policies.items():
            self._runners[name].change(policy)
        for path, spec in changes.supervisors.items():
            if (supervisor := self._at(path)) is not None:
                supervisor.configure(spec)
        await self._drain({*changes.restart, *self._actors(changes.removed)})
        for path in changes.removed:
            parent, _, name = path.rpartition("/")
            if (supervisor := self._at(parent)) is not None and name in supervisor.children:
                await supervisor.remove(name)
        self._complete(tree.root)
        self._revise(changes.children)
        for name in changes.restart:
            await self._runners[name].leave()
        await self._find_mailboxes()
        for name in changes.restart:
            if self._root.serves(name):
                self._root.restart(name)

    def _complete(self, node: Node) -> None:
        """Add what the tree should have below a node and has not, in its place."""
        supervisor = self._at(node.path)
        assert supervisor is not None, f"{node.path} was added before what is below it"
        for index, child in enumerate(node.children):
            if child.name not in supervisor.children:
                after = (each.name for each in node.children[index + 1 :])
                before = next((name for name in after if name in supervisor.children), None)
                supervisor.add(self._child(child), before=before)
            elif child.supervisor is not None:
                self._complete(child)

    def _revise(self, seen: Mapping[str, ChildSpec]) -> None:
        """From below, as what a supervisor has below it counts for the time that it may take to stop."""
        for path, supervisor in reversed([*self._root.below()]):
            child = supervisor.children[path.rpartition("/")[2]]
            spec = seen.get(path, child.spec)
            supervisor.revise(spec if child.supervisor is not None else self._bounded(spec))

    def _at(self, path: str) -> Supervisor | None:
        """The supervisor at a path of the tree; None where it was left out."""
        found: Supervisor | None = self._root
        for name in path.split("/")[1:]:
            child = None if found is None else found.children.get(name)
            found = None if child is None else child.supervisor
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
