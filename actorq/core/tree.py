"""The supervision tree out of its parts (semantics G-1): who stands under whom, and what is wrong with that. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from actorq.core.restarting import never_gives_up
from actorq.core.spelling import hint, nearest
from actorq.model.policy import Policy
from actorq.model.supervision import ROOT, ChildSpec, SupervisorSpec


@dataclass(frozen=True, slots=True)
class Node:
    """One part of the tree. ``child``: as its parent sees it; ``supervisor``: None for an actor.

    A supervisor's spec names all its children, also those that it was not given by name.
    """

    child: ChildSpec
    path: str
    supervisor: SupervisorSpec | None = None
    children: tuple[Node, ...] = ()

    @property
    def name(self) -> str:
        return self.child.name

    def walk(self) -> Iterator[Node]:
        """Itself and all below it, in order of start."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to say of ``supervisor``. ``index``: of the child that it is about.

    ``rival``: another supervisor that ``text`` ends in, with the index of the child there.
    """

    supervisor: str
    text: str
    hint: str
    index: int | None = None
    rival: tuple[str, int] | None = None

    @property
    def path(self) -> str:
        """Where it stands in a configuration file."""
        own = key_of(self.supervisor)
        if self.index is None:
            return own
        return f"{own}.children" if self.rival else f"{own}.children[{self.index}]"

    def told(self, where: str = "") -> str:
        """The whole text. ``where``: the place of the rival, if it is known."""
        return f"{self.text}{where and f' ({where})'}; {self.hint}"


@dataclass(frozen=True, slots=True)
class Tree:
    """``root`` and all below it. ``unnamed``: actors that no supervisor starts. ``warnings`` are no faults."""

    root: Node
    unnamed: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()


def key_of(supervisor: str) -> str:
    """A supervisor's table in a configuration file."""
    return "supervisor" if supervisor == ROOT else f"supervisors.{supervisor}"


def resolve(
    supervisors: Mapping[str, SupervisorSpec], actors: Mapping[str, Policy] | None, *, stop_timeout: float = 5.0
) -> Tree | tuple[Finding, ...]:
    """The tree, or all that is wrong. ``actors``: in order of declaration; None: nobody knows, any name may be one.

    ``supervisors`` may lack the root. ``stop_timeout``: seconds that each actor has to end by itself.
    """
    parts = _Parts({ROOT: SupervisorSpec(name=ROOT), **supervisors}, actors, stop_timeout)
    faults = [*parts.unfit(), *parts.doubles(), *parts.greedy()]
    parts.settle()
    faults += parts.loose()
    if faults:
        return tuple(faults)
    unnamed = tuple(name for name in actors or () if name not in parts.parents)
    return Tree(parts.node(ROOT, ROOT), unnamed, tuple(_warnings(parts.specs)))


def _warnings(specs: Mapping[str, SupervisorSpec]) -> Iterator[Finding]:
    for name, spec in specs.items():
        if warning := never_gives_up(spec):
            text, _, advice = warning.partition("; ")
            yield Finding(name, text, advice)


class _Parts:
    """The parts, as far as they are put together. ``parents``: whose child each name is."""

    def __init__(
        self, specs: Mapping[str, SupervisorSpec], actors: Mapping[str, Policy] | None, stop_timeout: float
    ) -> None:
        self.specs = dict(specs)
        self.actors = actors
        self.stop_timeout = stop_timeout
        self.below = [name for name in specs if name != ROOT]
        self.mentions = [
            (name, index, child) for name, spec in specs.items() for index, child in enumerate(spec.children or ())
        ]
        self.parents: dict[str, tuple[str, int]] = {child: (name, index) for name, index, child in self.mentions}
        self.meant: set[str | None] = set()

    def unfit(self) -> Iterator[Finding]:
        """Names that stand for two things, or for none."""
        known = {*self.below, *(self.actors or ())}
        for name in self.below:
            if name in (self.actors or ()):
                yield Finding(name, f'"{name}" is also an actor', "give one of them another name")
        for name, index, child in self.mentions:
            if self.actors is not None and child not in known:
                text = f'"{child}" is neither an actor nor a supervisor'
                self.meant.add(nearest(child, known))
                yield Finding(name, text, hint(child, sorted(known)), index)

    def doubles(self) -> Iterator[Finding]:
        """Children of several parents: the last one that names them keeps them."""
        for name, index, child in self.mentions:
            rival = self.parents[child]
            if rival[0] != name:
                text = f'"{child}" already belongs to {key_of(rival[0])}'
                yield Finding(name, text, "a child has exactly one parent", index, rival)
            elif rival[1] != index:
                yield Finding(name, f'"{child}" stands here more than once', "leave one of them", index)

    def greedy(self) -> Iterator[Finding]:
        """Several that would take all that no other names."""
        first, *others = [name for name, spec in self.specs.items() if spec.children is None] or [ROOT]
        for name in others:
            text = f"children is left out here and in {key_of(first)}, and only one can take all that no other names"
            yield Finding(name, text, "write children = [...]")

    def settle(self) -> None:
        """Give the first supervisor that names no children all that no other names."""
        for name, spec in self.specs.items():
            if spec.children is None:
                others = (*self.below, *(self.actors or ()))
                children = tuple(each for each in others if each not in self.parents and each != name)
                self.parents |= {child: (name, index) for index, child in enumerate(children)}
                self.specs[name] = dataclasses.replace(spec, children=children)

    def loose(self) -> Iterator[Finding]:
        """Supervisors that are not below the root."""
        seen: set[str] = set()
        for name in self.below:
            line = [name]
            while line[-1] in self.parents and (parent := self.parents[line[-1]][0]) not in line:
                line.append(parent)
            top = line[-1]
            if top == ROOT or top in seen or top in self.meant:
                continue
            if top not in self.parents:
                seen.add(top)
                yield Finding(top, "no supervisor names it, so it never starts", f'add "{top}" to the children of one')
            else:
                ring = [*line[line.index(self.parents[top][0]) :]]
                seen.update(ring)
                shown = " > ".join(reversed([*ring, ring[0]]))
                parent, index = self.parents[ring[0]]
                yield Finding(parent, f'"{ring[0]}" makes a circle: {shown}', "take it out", index)

    def node(self, name: str, path: str) -> Node:
        spec = self.specs.get(name) if name in self.below or path == ROOT else None
        if spec is None:
            policy = (self.actors or {}).get(name, Policy())
            child = ChildSpec(
                name=name, restart=policy.restart, significant=policy.significant, stop_timeout=self.stop_timeout
            )
            return Node(child, path)
        child = ChildSpec(name=name, restart=spec.restart, significant=spec.significant, stop_timeout=spec.stop_timeout)
        return Node(child, path, spec, tuple(self.node(each, f"{path}/{each}") for each in spec.children or ()))
