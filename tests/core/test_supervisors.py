"""Supervisors declared in code (G-1), and options laid under those of each actor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from actorq import ActorSystem, ConfigError, InvalidName, Retry, UsageError
from actorq.model.supervision import Backoff, SupervisorSpec


@pytest.fixture
def system() -> ActorSystem:
    return ActorSystem("shop", transport="memory:")


def charge() -> None: ...


class Ledger:
    def book(self) -> None: ...


def test_a_supervisor_with_all_its_options(system: ActorSystem) -> None:
    system.supervisor(
        "billing", strategy="rest_for_one", max_restarts=5, within="1m", auto_shutdown="any", restart="transient",
        backoff={"initial": "250ms", "jitter": 0}, significant=True, stop_timeout="2s",
        children=[system.actor(Ledger), system.actor(charge), "invoice"],
    )  # fmt: skip
    assert system.supervisors["billing"] == SupervisorSpec(
        name="billing", strategy="rest_for_one", max_restarts=5, within=60.0, auto_shutdown="any", restart="transient",
        backoff=Backoff(initial=0.25, jitter=0.0), significant=True, stop_timeout=2.0,
        children=("ledger", "charge", "invoice"),
    )  # fmt: skip


def test_the_root_has_settings_too(system: ActorSystem) -> None:
    system.supervisor("root", backoff=Backoff(initial=1.0), children=())
    system.supervisor("other")
    assert system.supervisors["root"] == SupervisorSpec(name="root", backoff=Backoff(initial=1.0), children=())
    assert system.supervisors["other"] == SupervisorSpec(name="other")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"strategy": "one"}, ConfigError, "strategy is 'one': use one_for_one or rest_for_one or one_for_all"),
        ({"max_restarts": -1}, ConfigError, "max_restarts is -1: use a whole number, 0 or more"),
        ({"within": "soon"}, ConfigError, 'within: "soon" is not a duration'),
        ({"significant": 1}, ConfigError, "significant is 1: use True or False"),
        ({"backoff": 3}, ConfigError, "backoff is 3: use Backoff"),
        ({"backoff": {"inital": 1}}, UsageError, "backoff: unknown option 'inital'; known are factor, initial"),
        ({"backoff": {"factor": 0.5}}, ConfigError, r"backoff.factor is 0.5: use a number, 1 \(constant\) or more"),
        ({"backoff": {"factor": float("inf")}}, ConfigError, "backoff.factor is inf"),
        ({"backoff": Backoff(jitter=2.0)}, ConfigError, "backoff.jitter is 2.0: use a number from 0 to 1"),
        ({"children": "charge"}, ConfigError, "children is 'charge': use a list"),
        ({"children": [charge]}, InvalidName, "children <function charge"),
        ({"strateg": 1}, UsageError, "unknown option 'strateg'; known are auto_shutdown, backoff"),
    ],
)
def test_a_wrong_option_is_named(
    system: ActorSystem, options: Mapping[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=f"^supervisor 'billing': {text}"):
        system.supervisor("billing", **options)
    assert not system.supervisors


def test_names_are_given_once(system: ActorSystem) -> None:
    system.actor(charge)
    system.supervisor("billing")
    with pytest.raises(UsageError, match="supervisor 'charge' has the name of an actor in system 'shop'"):
        system.supervisor("charge")
    with pytest.raises(UsageError, match="supervisor 'billing' has the name of another one"):
        system.supervisor("billing")
    with pytest.raises(UsageError, match="actor 'billing' has the name of a supervisor"):
        system.actor(name="billing")(charge)
    with pytest.raises(InvalidName, match=r"supervisor 'a\.b'"):
        system.supervisor("a.b")


def test_defaults_are_laid_under_every_actor() -> None:
    """An actor's own options come first; which these are is kept for what else is laid between."""
    system = ActorSystem("shop", transport="memory:", defaults={"queue": "slow", "retry": {"max_attempts": 1}})
    system.actor(charge)
    system.actor(name="ledger", queue="fast", retry={"initial": "5s"})(Ledger)
    assert system.actors["charge"].policy.queue == "slow"
    assert system.actors["charge"].policy.retry == Retry(max_attempts=1)
    assert system.actors["charge"].given == frozenset()
    assert system.actors["ledger"].policy.queue == "fast"
    assert system.actors["ledger"].policy.retry == Retry(max_attempts=1, initial=5.0)
    assert system.actors["ledger"].given == {"queue", "retry"}
    with pytest.raises(UsageError, match="defaults of system 'shop': unknown option 'queu'"):
        ActorSystem("shop", transport="memory:", defaults={"queu": "slow"})
