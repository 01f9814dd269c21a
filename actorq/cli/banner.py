"""What a worker says before it runs, and that it is ready: for the eye, for a log of objects, and as a document."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from actorq.cli.logs import Format
from actorq.cli.output import columns, document, masked, talk
from actorq.config.writing import spell_seconds
from actorq.core.tree import Node
from actorq.model.policy import Policy
from actorq.runtime.target import Target
from actorq.worker import Worker

log: logging.Logger = logging.getLogger("actorq.worker")


@dataclass(frozen=True, slots=True)
class Banner:
    """``processes``: the names of those that run in its place."""

    worker: Worker
    backend: str
    form: Format
    processes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """What is about to run, as plain values."""
        system, plan, options = self.worker.system, self.worker.plan, self.worker.options
        served = {policy.queue for policy in plan.policies.values() if options.serves(policy.queue)}
        return {
            "version": version("actorq"),
            "worker": self.worker.name,
            "system": system.name,
            "namespace": system.namespace.prefix.removeprefix("aq-"),
            "transport": masked(system.url),
            "backend": self.backend,
            "config": list(plan.config.files),
            "processes": list(self.processes),
            "queues": sorted(served if "*" in options.queues else set(options.queues) - set(options.exclude)),
            "actors": {name: self._actor(target) for name, target in system.actors.items()},
            "tree": _plain(plan.tree.root),
        }

    def _actor(self, target: Target) -> dict[str, object]:
        policy = self.worker.plan.policies[target.name]
        return {
            "queue": policy.queue,
            "served": self.worker.options.serves(policy.queue),
            "runs": "in the event loop" if target.is_async else "in threads",
            "concurrency": target.with_policy(policy).slots,
            "timeout": policy.timeout,
            "attempts": policy.retry.max_attempts,
            "rate": None if policy.rate_limit is None else str(policy.rate_limit),
            "global_concurrency": policy.global_concurrency,
            "isolation": policy.isolation,
            "restart": policy.restart,
        }

    def announce(self) -> None:
        """Say all of it."""
        known = self.facts()
        if self.form == "json":
            log.info("starting", extra={"details": known})
            return
        talk(f"actorq {known['version']} worker {known['worker']}")
        rows = [(key, known[key]) for key in ("system", "namespace", "transport", "backend")]
        rows += [("config", ", ".join(known["config"]))] if known["config"] else []
        if names := known["processes"]:
            rows.append(("processes", ", ".join(names) if len(names) < 4 else f"{names[0]} to {names[-1]}"))
        talk(columns([*rows, ("queues", ", ".join(known["queues"]) or "none")], "  "))
        talk("\n".join(_actors(known["actors"])) or "  no actors")
        talk("\n".join(_drawn(self.worker.plan.tree.root, "  ")))

    def ready(self, *, as_json: bool) -> None:
        """Say that it is."""
        if self.form == "json":
            log.info("ready")
        else:
            talk("ready")
        if as_json:
            document(self.facts())


def _actors(known: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    rows = columns([_row(name, facts) for name, facts in known.items()], "  actor ")
    for line, facts in zip(rows.splitlines(), known.values(), strict=True):
        yield line
        if more := ", ".join(_unusual(facts)):
            yield f"    {more}"


def _row(name: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"queue {facts['queue']}{'' if facts['served'] else ' (not served)'}",
        f"{facts['concurrency']} at once {facts['runs']}",
        "no time limit" if facts["timeout"] is None else f"at most {spell_seconds(facts['timeout'])}",
    )


def _unusual(facts: Mapping[str, Any]) -> Iterator[str]:
    """What few actors have."""
    usual = Policy()
    if (attempts := facts["attempts"]) != usual.retry.max_attempts:
        yield f"{attempts} attempts" if attempts > 1 else "1 attempt"
    if facts["rate"] is not None:
        yield f"at most {facts['rate']}"
    if facts["global_concurrency"]:
        yield f"at most {facts['global_concurrency']} over all workers"
    if facts["isolation"] == "process":
        yield "each in a process of its own"
    if facts["restart"] != usual.restart:
        yield f"restart {facts['restart']}"


def _drawn(node: Node, indent: str) -> Iterator[str]:
    """A supervisor and those below it; actors that stand side by side share a line. A lone root has all actors."""
    spec = node.supervisor
    assert spec is not None, f"{node.path} is an actor"
    restarts = f"{spec.max_restarts} restart{'' if spec.max_restarts == 1 else 's'}"
    yield f"{indent}{node.name} {spec.strategy}, {restarts} in {spell_seconds(spec.within)}"
    if indent == "  " and not any(child.supervisor for child in node.children):
        return
    for nested, children in itertools.groupby(node.children, key=lambda child: child.supervisor is not None):
        if nested:
            for child in children:
                yield from _drawn(child, f"{indent}  ")
        else:
            yield f"{indent}  {', '.join(child.name for child in children)}"


def _plain(node: Node) -> dict[str, Any]:
    spec = node.supervisor
    if spec is None:
        return {"name": node.name, "kind": "actor"}
    return {
        "name": node.name, "kind": "supervisor", "strategy": spec.strategy, "max_restarts": spec.max_restarts,
        "within": spec.within, "children": [_plain(child) for child in node.children],
    }  # fmt: skip
