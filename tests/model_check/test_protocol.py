"""Every interleaving of the delivery protocol within bounds, with the rules as specified and as the engine has them.

The default run takes the small scenarios; ``-m slow`` takes the large ones.
"""

from __future__ import annotations

from dataclasses import fields

import pytest

from tests.model_check.checker import Result, explore
from tests.model_check.mutants import MUTANTS
from tests.model_check.plugged import Plugged
from tests.model_check.protocol import Model
from tests.model_check.scenarios import COUNT_LOST, LARGE, SCENARIOS, SMALL
from tests.model_check.world import Spec

EVERY_SCENARIO = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]

# Where each rule is missed first, and by what, once it is switched off.
RULES = {
    "resend_re": ("one_schedule", "S8"),
    "cons_re": ("chain_three", "S3"),
    "own_newer": ("unique_chain", "S1"),
    "record_first": ("ignored", "S8"),
    "refusal_looks": ("unique_chain", "S1"),
    "rec_no_msgid": ("chain_unique", "S2"),
    "retrying_gen": ("dead_cancel", "S3"),
    "dead_msgid": ("dead_cancel", "S1"),
    "dead_cas_first": ("dead_cancel", "S2"),
    "holder_gen": ("unique_dead", "S7"),
    "purge_seq": ("unique_cancel", "S1"),
    "cancel_re": ("sched_cancel", "S6"),
    "unique_by_id": ("chain_unique", "S1"),
    "re_records": ("ignored", "S8"),
    "gen_max": ("dead_cancel", "S2"),
}


def properties(result: Result) -> set[str]:
    return {kind.split()[0] for kind in result.violations}


def assert_clean(result: Result) -> None:
    assert result.complete
    assert not result.violations, str(result)


@pytest.mark.parametrize("name", EVERY_SCENARIO)
def test_the_specified_rules_lose_nothing_and_always_come_to_an_end(name: str) -> None:
    assert_clean(explore(Model(Spec.repaired(), SCENARIOS[name])))


@pytest.mark.parametrize("name", EVERY_SCENARIO)
def test_the_decisions_of_the_engine_lose_nothing_and_always_come_to_an_end(name: str) -> None:
    assert_clean(explore(Plugged(Spec.repaired(), SCENARIOS[name])))


def test_every_rule_has_a_counterexample() -> None:
    assert set(RULES) == {field.name for field in fields(Spec)}


@pytest.mark.parametrize("rule", RULES)
def test_without_the_rule_something_goes_wrong(rule: str) -> None:
    scenario, violated = RULES[rule]
    broken = Spec.repaired(**{rule: not getattr(Spec.repaired(), rule)})
    assert properties(explore(Model(broken, SCENARIOS[scenario]), stop_at_first=True)) == {violated}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_decision_is_noticed(name: str) -> None:
    mutant = MUTANTS[name]
    plugged = Plugged(Spec.repaired(), SCENARIOS[mutant.scenario], mutant.decisions)
    assert properties(explore(plugged, stop_at_first=True)) == {mutant.property}


@pytest.mark.parametrize("name", COUNT_LOST)
def test_a_forgotten_delivery_count_costs_one_more_run(name: str) -> None:
    result = explore(Plugged(Spec.repaired(), COUNT_LOST[name]), stop_at_first=True)
    assert properties(result) == {"S3"}


@pytest.mark.parametrize("name", COUNT_LOST)
def test_a_forgotten_delivery_count_never_costs_a_second_outcome(name: str) -> None:
    assert_clean(explore(Plugged(Spec.repaired(), COUNT_LOST[name]._replace(outcomes_only=True))))


@pytest.mark.parametrize("name", ["chain_unique", "chain_three"])
def test_a_stale_first_publisher_never_costs_a_second_outcome(name: str) -> None:
    """The rule ``cons_re`` is relaxed in D-2: the first publish of a next step is not a repeat."""
    assert_clean(explore(Plugged(Spec.repaired(cons_re=False), SMALL[name]._replace(outcomes_only=True))))
