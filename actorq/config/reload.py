"""What a changed configuration asks of a running worker: what applies live, what restarts, what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from actorq.config.config import Config
from actorq.config.keys import KEYS, Key, Reload
from actorq.config.plan import Plan
from actorq.config.problems import Problem, in_order
from actorq.core.tree import Node
from actorq.model.policy import Policy
from actorq.model.supervision import ROOT, ChildSpec, SupervisorSpec


@dataclass(frozen=True, slots=True)
class Added:
    """A part of the new tree that is to start below the supervisor at ``parent``, before those ``after`` it."""

    parent: str
    node: Node
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The difference between two plans. Nothing of it counts against a supervisor's intensity.

    - ``worker``: keys of [worker] with their new values, to apply live
    - ``policies``: of every actor whose policy is another one; those in ``restart`` are drained and start again where
      they are, for all others it applies live
    - ``supervisors``: by path, the new specs of those that stay
    - ``children``: by path, what the supervisors of those that stay are to think of them from now on
    - ``removed``: paths to drain and take out, before ``added`` starts; what was moved is in both
    """

    worker: Mapping[str, Any] = field(default_factory=dict[str, Any])
    policies: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
    restart: tuple[str, ...] = ()
    supervisors: Mapping[str, SupervisorSpec] = field(default_factory=dict[str, SupervisorSpec])
    children: Mapping[str, ChildSpec] = field(default_factory=dict[str, ChildSpec])
    removed: tuple[str, ...] = ()
    added: tuple[Added, ...] = ()

    def __bool__(self) -> bool:
        return self != Changes()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The change is refused as a whole. ``problems``: one line for each key."""

    problems: tuple[str, ...]


def changes(old: Plan, new: Plan) -> Changes | Refusal:
    """What leads from one plan to the other, both for the same program."""
    if old.config.files and not new.config.files:
        return Refusal((f"{old.config.files[0]}: it is not there any more; put it back, or restart the worker",))
    refused = [
        _refused(path, key, old.config, new.config)
        for path, key in _changed(old.config, new.config, "refused")
        if not _is_environment(path, old.config, new.config)
    ]
    if refused:
        return Refusal(tuple(map(str, in_order(refused))))
    policies = {name: policy for name, policy in new.policies.items() if policy != old.policies.get(name)}
    found = _Difference()
    found.below(old.tree.root, new.tree.root)
    every = any(path[0] == "worker" for path, _ in _changed(old.config, new.config, "restart"))
    restart = tuple(
        name
        for name in found.kept
        if every or (name in policies and _needs_restart(old.policies[name], policies[name]))
    )
    live = {path: new.config.get(".".join(path)) for path, _ in _changed(old.config, new.config, "live", "restart")}
    return Changes(
        worker={path[1]: value for path, value in live.items() if path[0] == "worker"},
        policies=policies,
        restart=restart,
        supervisors=found.supervisors,
        children=found.children,
        removed=tuple(found.removed),
        added=tuple(found.added),
    )


def _changed(old: Config, new: Config, *kinds: Reload) -> Iterator[tuple[tuple[str, ...], Key]]:
    for path, key in KEYS.walk():
        if key.reload in kinds and old.get(".".join(path)) != new.get(".".join(path)):
            yield path, key


def _is_environment(path: tuple[str, ...], *configs: Config) -> bool:
    """Whether a variable counts, before and now: NATS_URL and its like are seen only beside a key of the file."""
    places = [config.values[path].place for config in configs if path in config.values]
    return len(places) == 1 and places[0].is_variable


def _refused(path: tuple[str, ...], key: Key, old: Config, new: Config) -> Problem:
    name = ".".join(path)
    before, after = (_shown(key, config.get(name)) for config in (old, new))
    what = "" if key.secret else f" ({before} -> {after})"
    place = new.values[path].place if path in new.values else None
    return Problem(f"cannot change while running{what}; restart the worker", place, name)


def _shown(key: Key, value: Any) -> str:
    return "none" if value is None else key.kind.spell(value)


def _needs_restart(old: Policy, new: Policy) -> bool:
    keys = ((path[1], key) for path, key in KEYS.walk() if path[0] == "defaults" and len(path) == 2)
    return any(key.reload == "restart" and getattr(old, name) != getattr(new, name) for name, key in keys)


@dataclass(slots=True)
class _Difference:
    """Between two trees. ``kept``: actors that stay where they are."""

    supervisors: dict[str, SupervisorSpec] = field(default_factory=dict[str, SupervisorSpec])
    children: dict[str, ChildSpec] = field(default_factory=dict[str, ChildSpec])
    removed: list[str] = field(default_factory=list[str])
    added: list[Added] = field(default_factory=list[Added])
    kept: list[str] = field(default_factory=list[str])

    def below(self, old: Node, new: Node) -> None:
        if old.child != new.child and new.path != ROOT:
            self.children[new.path] = new.child
        if old.supervisor is None or new.supervisor is None:
            self.kept.append(new.name)
            return
        if dataclasses.replace(old.supervisor, children=()) != dataclasses.replace(new.supervisor, children=()):
            self.supervisors[new.path] = new.supervisor
        before, after = [_seat(child) for child in old.children], [_seat(child) for child in new.children]
        # Children that changed places are moved: only those that are in the same order in both stay.
        blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
        stays = {before[block.a + i] for block in blocks for i in range(block.size)}
        self.removed += [child.path for child, seat in zip(old.children, before, strict=True) if seat not in stays]
        for index, (child, seat) in enumerate(zip(new.children, after, strict=True)):
            if seat not in stays:
                self.added.append(Added(new.path, child, tuple(each.name for each in new.children[index + 1 :])))
            else:
                self.below(old.children[before.index(seat)], child)


def _seat(node: Node) -> tuple[str, bool]:
    return node.name, node.supervisor is None
