"""A configuration for one program: what each of its actors and supervisors is told, and what does not fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actorq.config.classes import doubts
from actorq.config.config import Config, Declared
from actorq.config.problems import Path, Place, Problem, in_order, refusal
from actorq.config.reading import Draft
from actorq.core.spelling import hint
from actorq.core.tree import Finding, Tree, resolve
from actorq.model.policy import Policy
from actorq.model.supervision import ROOT


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker runs. ``policies``: of every actor; ``warnings``: what is allowed, and hardly meant."""

    config: Config
    policies: Mapping[str, Policy]
    tree: Tree
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All that is to say of a draft, in order. ``plan``: None where there are problems or the program is unknown."""

    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    plan: Plan | None = None


def settle(draft: Draft, declared: Declared) -> Plan:
    """The plan for a program. Raises ConfigError with all problems, those of the draft included, a line each."""
    report = examine(draft, declared)
    if report.plan is None:
        raise refusal(report.problems)
    return report.plan


def sound(draft: Draft) -> Config:
    """The configuration where no program is run. Raises ConfigError with all problems, a line each."""
    if draft.problems:
        raise refusal(draft.problems)
    return draft.config


def examine(draft: Draft, declared: Declared | None) -> Report:
    """Look at a draft. ``declared``: None where the program is not known, and so nor are its actors."""
    config, problems = draft.config, [*draft.problems]
    policies: dict[str, Policy] = {}
    if not draft.complete:  # what the rest is worth nobody knows
        return Report(in_order(problems), ())
    if declared is not None:
        problems += _strangers(config, declared)
        policies = config.policies(declared)
    tree = _tree(config, declared, policies, problems)
    warnings = _warnings(config, tree, policies)
    if problems or tree is None or declared is None:
        return Report(in_order(problems), warnings)
    return Report((), warnings, Plan(config, policies, tree, warnings))


def _strangers(config: Config, declared: Declared) -> list[Problem]:
    """Tables for actors that the program does not have."""
    problems: list[Problem] = []
    for name in config.names("actors"):
        if not config.stands_for(name, declared.policies):
            place, path = config.place(("actors", name)), f"actors.{name}"
            problems.append(Problem(f"there is no such actor; {hint(name, declared.policies)}", place, path))
    return problems


def _tree(
    config: Config, declared: Declared | None, policies: Mapping[str, Policy], problems: list[Problem]
) -> Tree | None:
    # Where the children of one are not known, what is said of all others is guessed.
    if any(".children" in problem.path for problem in problems):
        return None
    specs = config.supervisors(declared.supervisors if declared else {})
    tree = resolve(specs, policies if declared else None, stop_timeout=config.get("worker.stop_timeout"))
    if isinstance(tree, Tree):
        return tree
    problems += [_problem(config, finding) for finding in tree]
    return None


def _problem(config: Config, finding: Finding) -> Problem:
    place, where = _place(config, finding.supervisor, finding.index), ""
    rival = _place(config, *finding.rival) if finding.rival else None
    if rival is not None:
        same = place is not None and rival.source == place.source and rival.line
        where = f"line {rival.line}" if same else str(rival)
    return Problem(finding.told(where), place, finding.path)


def _place(config: Config, supervisor: str, index: int | None) -> Place | None:
    table: Path = ("supervisor",) if supervisor == ROOT else ("supervisors", supervisor)
    return config.place(table if index is None else (*table, "children"), index)


def _warnings(config: Config, tree: Tree | None, policies: Mapping[str, Policy]) -> tuple[str, ...]:
    problems: list[Problem] = []
    if ("schedules",) in config.tables:
        text = "this version runs no schedules; what is here is checked in shape and left alone"
        problems.append(Problem(text, config.place(("schedules",)), "schedules"))
    for actor, text in doubts(policies):
        place = config.place(("actors", actor, "retry")) or config.place(("defaults", "retry"))
        problems.append(Problem(text, place, f"actors.{actor}.retry"))
    if tree is not None:
        problems += [_problem(config, finding) for finding in tree.warnings]
        for name in tree.unnamed:
            text = f'no supervisor names actor "{name}", so no worker runs it; add it to the children of one'
            problems.append(Problem(text, config.place(("supervisor", "children")), "supervisor.children"))
    return tuple(map(str, in_order(problems)))
