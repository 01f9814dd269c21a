"""Rules that no linter knows. Each is shown to refuse what it is there to refuse."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from tests.architecture.source import ROOT, Function, Source, names_of_tests, sources

Rule = Callable[[Source], Iterator[str]]

FILE_LINES, FUNCTION_LINES = 400, 40
VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "manager", "managers", "misc", "types"}

# Where an error of any kind may be swallowed, and why.
BOUNDARIES = {
    "actorq/runtime/boundary.py": "user code: whatever it raises is a failure of its message",
    "actorq/runtime/threads.py": "the same boundary, on the thread of a sync handler",
    "actorq/runtime/jobs.py": "one message that the engine itself cannot process must not stop all others",
    "actorq/runtime/runner.py": "a mailbox that cannot be read is a failure of its actor alone",
    "actorq/core/annotations.py": "user code: a dataclass's own __post_init__ may raise anything",
    "actorq/core/values.py": "user code: properties, iterators and models of a value may raise anything",
    "actorq/core/remote.py": "user code: an exception whose attributes raise must not hide the failure",
    "actorq/cli/target.py": "user code: importing a program's module runs it",
    "actorq/cli/main.py": "the last resort of the command line: an exit code and one line, never a traceback",
}
# What is finished although somebody is cancelled.
SHIELDS = {
    "actorq/runtime/shelter.py": "what a worker holds is settled or handed back",
    "actorq/worker.py": "draining: running tasks are handed back, actors tear down, within a bound",
    "transports/actorq_nats/transport.py": "closing: acks are sent and the I/O thread ends, within a bound",
}


def no_orphan_tasks(source: Source) -> Iterator[str]:
    if source.within("transports/actorq_nats"):  # its I/O thread is asyncio's own, and owns what it starts
        return
    for name, call in source.calls():
        if name in ("create_task", "ensure_future", "gather"):
            yield f"{source.at(call)}: {name}() starts a task that nobody owns: use a task group"


def shields_are_few_and_tested(source: Source) -> Iterator[str]:
    for _, call in source.calls():
        if any(keyword.arg == "shield" for keyword in call.keywords):
            if source.path not in SHIELDS:
                yield f"{source.at(call)}: shield= outside of {', '.join(SHIELDS)}: let it be cancelled"
            elif not names_of_tests() & set(re.findall(r"test_\w+", source.comment_above(call.lineno))):
                yield f"{source.at(call)}: shield= without a comment above that names a test function"


def nothing_is_swallowed(source: Source) -> Iterator[str]:
    if source.path in BOUNDARIES:
        return
    advice = "catch what you expect, end with a bare `raise`, or let it pass"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield f"{source.at(node)}: catches everything: {advice}"
    for name, call in source.calls():
        if name == "suppress" and any(_is_broad(argument) for argument in call.args):
            yield f"{source.at(call)}: suppresses everything: {advice}"


def _is_broad(kind: ast.expr | None) -> bool:
    match kind:
        case None:
            return True
        case ast.Name(name):
            return name in ("Exception", "BaseException")
        case ast.Tuple(elts=kinds):
            return any(_is_broad(each) for each in kinds)
        case _:
            return False


def files_and_functions_are_short(source: Source) -> Iterator[str]:
    if len(source.lines) > FILE_LINES:
        yield f"{source.path}: {len(source.lines)} lines, at most {FILE_LINES}: split it by what its parts are about"
    for node in ast.walk(source.tree):
        if isinstance(node, Function) and (lines := _length(node)) > FUNCTION_LINES:
            yield f"{source.at(node)}: {node.name}() has {lines} lines, at most {FUNCTION_LINES}: split it by its steps"


def _length(function: Function) -> int:
    """Lines without the docstring."""
    first = function.body[0] if ast.get_docstring(function) else None
    documented = (first.end_lineno or 0) - first.lineno + 1 if first else 0
    return (function.end_lineno or 0) - function.lineno + 1 - documented


def complexity_is_not_excused(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.lines, 1):
        if re.search(r"#\s*noqa\b.*\b(C901|PLR09)", line):
            yield f"{source.path}:{number}: excuses its complexity: split the function instead"


def modules_are_nouns_of_the_domain(source: Source) -> Iterator[str]:
    for part in VAGUE.intersection(source.module.split(".")):
        yield f"{source.path}: {part!r} says nothing: name the module after what it is about"


def modules_open_with_their_job(source: Source) -> Iterator[str]:
    if not ast.get_docstring(source.tree):
        yield f"{source.path}: no docstring: say in one sentence what the module is for and what it must not know"


def only_the_command_line_prints(source: Source) -> Iterator[str]:
    if source.within("actorq/cli"):
        return
    for name, call in source.calls():
        if name in ("print", "pprint"):
            yield f"{source.at(call)}: prints: log it, or return it to actorq.cli"


# Each rule with a text that it must refuse.
RULES: dict[Rule, str] = {
    no_orphan_tasks: "import asyncio\nasyncio.create_task(f())",
    shields_are_few_and_tested: "with CancelScope(shield=True): pass",
    nothing_is_swallowed: "try: f()\nexcept (OSError, Exception) as error: g(error)",
    files_and_functions_are_short: "def f():\n" + "    g()\n" * FUNCTION_LINES,
    complexity_is_not_excused: "def f(): pass  # no" + "qa: C901",
    modules_are_nouns_of_the_domain: "",
    modules_open_with_their_job: "x = 1",
    only_the_command_line_prints: "print('here')",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_obeys(rule: Rule) -> None:
    found = [problem for source in sources() for problem in rule(source)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_refuses_what_it_is_there_for(rule: Rule) -> None:
    assert list(rule(Source("actorq/runtime/helpers.py", RULES[rule])))


def test_a_shield_needs_a_comment_that_names_its_test() -> None:
    place, code = next(iter(SHIELDS)), "scope = CancelScope(shield=True)"
    for comment in ("", "# why", "# test_house_rules.py", "# test_of_nothing"):
        assert list(shields_are_few_and_tested(Source(place, f"{comment}\n{code}"))), comment
    named = f"# (test_house_rules.py::{test_a_shield_needs_a_comment_that_names_its_test.__name__})"
    assert not list(shields_are_few_and_tested(Source(place, f"{named}\n{code}")))


def test_exceptions_to_the_rules_are_still_needed() -> None:
    """A place that no longer needs its exception loses it."""
    for place in BOUNDARIES:
        unlisted = Source("actorq/elsewhere.py", (ROOT / place).read_text())
        assert list(nothing_is_swallowed(unlisted)), f"{place} swallows nothing: take it off BOUNDARIES"
    for place in SHIELDS:
        assert "shield=" in (ROOT / place).read_text(), f"{place} shields nothing: take it off SHIELDS"
