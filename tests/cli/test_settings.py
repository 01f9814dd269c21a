"""Flags over the system's own settings, those over the environment's."""

from __future__ import annotations

from typing import Any

import pytest
from cyclopts import App, CoercionError

from actorq import ActorSystem
from actorq.cli.arguments import value
from actorq.cli.exits import Exit
from actorq.cli.settings import DEFAULTS, Common, Seconds
from actorq.errors import InvalidName


def test_a_flag_wins_over_the_system_and_that_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_USER", "from-env")
    monkeypatch.setenv("NATS_TOKEN", "from-env")
    monkeypatch.setenv("NATS_CA", "from-env")
    system = ActorSystem("shop", transport="nats://code:1", connection={"user": "from-code", "token": "from-code"})
    Common(token="from-flag", server="nats://flag:2").connect(system)
    assert system.connection == {"user": "from-code", "token": "from-flag", "tls_ca": "from-env"}
    assert system.url == "nats://flag:2"


def test_without_a_flag_the_systems_own_transport_stays() -> None:
    system = ActorSystem("shop", transport="nats://code:1")
    DEFAULTS.connect(system)
    assert system.url == "nats://code:1"


def test_a_namespace_is_enough_to_reach_a_running_system() -> None:
    assert Common(namespace="shop").system(None).namespace.prefix == "aq-shop"
    with pytest.raises(Exit, match="--namespace NAME or --app") as caught:
        DEFAULTS.system(None)
    assert caught.value.code == 2


def test_secrets_do_not_show_in_a_repr() -> None:
    assert "hush" not in repr(Common(password="hush", token="hush", server="nats://hush@h"))


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), ("0.5", 0.5), ("250ms", 0.25), ("1h30m", 5400.0)])
def test_durations_are_seconds_or_text(text: str, seconds: float) -> None:
    assert parsed(text) == seconds


def test_a_wrong_duration_is_a_usage_error() -> None:
    with pytest.raises(CoercionError, match=r'^"soon" is not a duration; write seconds'):
        parsed("soon")


def test_a_wrong_namespace_is_called_one() -> None:
    with pytest.raises(InvalidName, match="namespace 'a b' is not a valid name"):
        Common(namespace="a b").flags()


def parsed(text: str) -> Any:
    app = App(result_action="return_value", print_error=False, exit_on_error=False)

    @app.default
    def run(time: Seconds, /) -> float:
        return time

    return app([text])


@pytest.mark.parametrize(
    ("text", "argument"), [("3", 3), ('"3"', "3"), ("[1, null]", [1, None]), ("hi there", "hi there"), ("", "")]
)
def test_arguments_are_json_or_else_text(text: str, argument: object) -> None:
    assert value(text) == argument
