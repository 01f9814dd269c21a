"""Supervisors and actors put together, or all that is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.core.tree import Finding, Node, Tree, resolve
from actorq.model.policy import Policy
from actorq.model.supervision import Backoff, SupervisorSpec

ACTORS = {name: Policy() for name in ("charge", "invoice", "ledger")}


def spec(name: str, *children: str) -> SupervisorSpec:
    return SupervisorSpec(name=name, children=children)


def tree(*specs: SupervisorSpec, actors: dict[str, Policy] | None = ACTORS) -> Tree:
    found = resolve({each.name: each for each in specs}, actors)
    assert isinstance(found, Tree), [finding.told() for finding in found]
    return found


def faults(*specs: SupervisorSpec, actors: dict[str, Policy] | None = ACTORS) -> list[str]:
    found = resolve({each.name: each for each in specs}, actors)
    assert not isinstance(found, Tree)
    return [f"{finding.path}: {finding.told()}" for finding in found]


def paths(found: Tree) -> list[str]:
    return [node.path for node in found.root.walk()]


def test_without_supervisors_the_root_has_all_actors_in_order_of_declaration() -> None:
    assert paths(tree()) == ["root", "root/charge", "root/invoice", "root/ledger"]


def test_what_no_other_names_belongs_to_the_root_supervisors_first() -> None:
    found = tree(spec("billing", "ledger", "inner"), spec("inner", "charge"))
    assert paths(found) == [
        "root", "root/billing", "root/billing/ledger", "root/billing/inner", "root/billing/inner/charge",
        "root/invoice",
    ]  # fmt: skip
    assert found.root.supervisor is not None
    assert found.root.supervisor.children == ("billing", "invoice")


def test_a_supervisor_below_may_be_the_one_that_has_the_rest() -> None:
    found = tree(spec("root", "rest", "ledger"), SupervisorSpec(name="rest"))
    assert paths(found) == ["root", "root/rest", "root/rest/charge", "root/rest/invoice", "root/ledger"]


def test_an_actor_that_nobody_names_does_not_run_and_is_told_of() -> None:
    found = tree(spec("root", "charge"))
    assert paths(found) == ["root", "root/charge"]
    assert found.unnamed == ("invoice", "ledger")


def test_what_a_parent_thinks_of_a_child() -> None:
    billing = SupervisorSpec(
        name="billing", children=("charge",), restart="transient", significant=True, stop_timeout=9.0
    )
    actors = {"charge": Policy(restart="temporary", significant=True)}
    found = resolve({"billing": billing}, actors, stop_timeout=2.0)
    assert isinstance(found, Tree)
    _, nested, actor = found.root.walk()
    assert (nested.child.restart, nested.child.significant, nested.child.stop_timeout) == ("transient", True, 9.0)
    assert (actor.child.restart, actor.child.significant, actor.child.stop_timeout) == ("temporary", True, 2.0)


def test_a_name_that_stands_for_nothing() -> None:
    assert faults(spec("root", "charge", "invocie", "qqq")) == [
        'supervisor.children[1]: "invocie" is neither an actor nor a supervisor; did you mean "invoice"?',
        'supervisor.children[2]: "qqq" is neither an actor nor a supervisor; known are charge, invoice, ledger',
    ]


def test_without_the_program_any_name_may_be_an_actor() -> None:
    assert paths(tree(spec("root", "a", "b"), spec("b", "c"), actors=None)) == ["root", "root/a", "root/b", "root/b/c"]


def test_a_child_of_two_belongs_to_the_last_that_names_it() -> None:
    assert faults(spec("root", "a", "ledger", "b"), spec("a", "ledger"), spec("b", "ledger")) == [
        'supervisor.children: "ledger" already belongs to supervisors.b; a child has exactly one parent',
        'supervisors.a.children: "ledger" already belongs to supervisors.b; a child has exactly one parent',
    ]


def test_a_child_named_twice_by_one() -> None:
    assert faults(spec("root", "charge", "ledger", "charge")) == [
        'supervisor.children[0]: "charge" stands here more than once; leave one of them'
    ]


def test_a_name_for_an_actor_and_a_supervisor() -> None:
    assert faults(spec("charge", "ledger")) == [
        'supervisors.charge: "charge" is also an actor; give one of them another name'
    ]


def test_only_one_can_have_the_rest() -> None:
    assert faults(SupervisorSpec(name="a"), spec("b"), SupervisorSpec(name="c")) == [
        f"supervisors.{name}: children is left out here and in supervisor, and only one can take all that no other"
        " names; write children = [...]"
        for name in "ac"
    ]


def test_a_supervisor_that_nobody_names() -> None:
    assert faults(spec("root", "charge"), spec("billing", "inner"), spec("inner", "ledger")) == [
        'supervisors.billing: no supervisor names it, so it never starts; add "billing" to the children of one'
    ]


def test_a_supervisor_whose_name_is_misspelt_is_told_of_once() -> None:
    assert faults(spec("root", "charge", "biling"), spec("billing", "ledger")) == [
        'supervisor.children[1]: "biling" is neither an actor nor a supervisor; did you mean "billing"?'
    ]


@pytest.mark.parametrize(
    ("specs", "line"),
    [
        ([spec("a", "a")], 'supervisors.a.children[0]: "a" makes a circle: a > a; take it out'),
        (
            [spec("a", "charge", "b"), spec("b", "c"), spec("c", "ledger", "a"), spec("below", "invoice")],
            'supervisors.c.children[1]: "a" makes a circle: a > b > c > a; take it out',
        ),
    ],
)
def test_a_circle_is_told_of_once(specs: list[SupervisorSpec], line: str) -> None:
    assert faults(*specs) == [line]


def test_what_hangs_on_a_circle_is_not_told_of_besides() -> None:
    assert len(faults(spec("a", "b"), spec("b", "a", "hanging"), spec("hanging", "charge"))) == 1


def test_a_tree_that_can_never_give_up_is_warned_of() -> None:
    never = SupervisorSpec(name="billing", children=("charge",), max_restarts=5, within=2.0, backoff=Backoff(initial=1))
    (warning,) = tree(never).warnings
    assert warning.path == "supervisors.billing"
    assert "restarted for ever" in warning.told()
    assert warning.hint.startswith("raise within")


NAMES = "abcd"
specs = st.dictionaries(
    st.sampled_from(["root", *NAMES]),
    st.none() | st.lists(st.sampled_from([*NAMES, "charge", "invoice", "ledger", "gone"]), max_size=5),
)


@given(specs)
def test_whatever_is_declared_is_a_tree_or_has_a_fault(declared: dict[str, Sequence[str] | None]) -> None:
    found = resolve(
        {
            name: SupervisorSpec(name=name, children=None if children is None else tuple(children))
            for name, children in declared.items()
        },
        ACTORS,
    )
    if not isinstance(found, Tree):
        assert found
        assert all(isinstance(finding, Finding) for finding in found)
        return
    nodes = list(found.root.walk())
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names)
    assert set(names) == {"root", *declared, *ACTORS} - set(found.unnamed)
    assert all(_fits(node, declared.get(node.name)) for node in nodes)


def _fits(node: Node, children: Sequence[str] | None) -> bool:
    below = tuple(child.name for child in node.children)
    named = node.supervisor.children if node.supervisor else ()
    return below == named and (children is None or below == tuple(children))
