"""Which value counts where several are given, and where it is said to come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorq.config import Config, Declared, read, settle, sound
from actorq.errors import ConfigError
from actorq.model.message import StreamSettings
from actorq.model.policy import Policy
from actorq.model.retry import Retry
from actorq.model.supervision import Backoff, SupervisorSpec
from tests.config.shop import SHOP, drafted, lines

TEXT = """\
[defaults]
timeout = "1m"
threads = 3
retry.max_attempts = 9
retry.initial = "3s"
[actors.charge]
timeout = "2m"
retry.initial = "4s"
"""
CHARGE = Policy(threads=5, timeout=7.0, retry=Retry(max_attempts=2), concurrency=4)


def test_the_actors_table_then_its_declaration_then_the_defaults(tmp_path: Path) -> None:
    declared = Declared(
        {"charge": CHARGE, "other": Policy(burst=3)},
        {"charge": frozenset({"threads", "timeout", "retry", "lanes"})},
    )
    plan = settle(drafted(tmp_path, TEXT), declared)
    charge, other = plan.policies["charge"], plan.policies["other"]
    assert (charge.timeout, charge.threads, charge.concurrency) == (120.0, 5, 4)
    assert (charge.retry.initial, charge.retry.max_attempts) == (4.0, 2)
    assert (other.timeout, other.threads, other.burst) == (60.0, 3, 3)
    assert (other.retry.initial, other.retry.max_attempts) == (3.0, 9)
    origins = {
        (name, option): plan.config.policy_origin(name, option, declared)
        for name in declared.policies
        for option in ("timeout", "threads", "burst", "queue", "retry.initial", "retry.max_attempts", "retry.max")
    }
    assert origins == {
        ("charge", "timeout"): "actorq.toml:7",
        ("charge", "threads"): "decorator",
        ("charge", "burst"): "default",
        ("charge", "queue"): "default",
        ("charge", "retry.initial"): "actorq.toml:8",
        ("charge", "retry.max_attempts"): "decorator",
        ("charge", "retry.max"): "decorator",
        ("other", "timeout"): "actorq.toml:2",
        ("other", "threads"): "actorq.toml:3",
        ("other", "burst"): "code",
        ("other", "queue"): "default",
        ("other", "retry.initial"): "actorq.toml:5",
        ("other", "retry.max_attempts"): "actorq.toml:4",
        ("other", "retry.max"): "default",
    }


def test_without_a_file_policies_are_those_of_the_code() -> None:
    assert Config().policies(Declared({"charge": CHARGE})) == {"charge": CHARGE}
    assert Config().streams(StreamSettings(replicas=3)) == StreamSettings(replicas=3)
    assert Config().namespace is None


def test_one_count_of_slots_for_all_goes_before_each_actors_own(tmp_path: Path) -> None:
    declared = Declared({"charge": CHARGE}, {"charge": frozenset({"concurrency"})})
    plan = settle(drafted(tmp_path, "worker.concurrency = 1\nactors.charge.concurrency = 7\n"), declared)
    assert plan.policies["charge"].concurrency == 1
    assert plan.config.policy_origin("charge", "concurrency", declared) == "actorq.toml:1"


def test_a_flag_goes_before_a_variable_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "actorq.toml").write_text("worker.workers = 2\nworker.crash_budget = 2\nworker.max_tasks = 2\n")
    environ = {"ACTORQ_WORKER__WORKERS": "3", "ACTORQ_WORKER__CRASH_BUDGET": "3"}
    flags = {"worker.workers": ("--workers", 4)}
    config = read(None, environ, folder=tmp_path, flags=flags).config
    assert config.worker == {"workers": 4, "crash_budget": 3, "max_tasks": 2}
    assert [config.origin(f"worker.{key}") for key in ("workers", "crash_budget", "max_tasks", "max_rss")] == [
        "flag --workers",
        "env ACTORQ_WORKER__CRASH_BUDGET",
        "actorq.toml:3",
        "default",
    ]


def test_supervisors_of_the_file_lie_over_those_of_the_code(tmp_path: Path) -> None:
    code = {
        "billing": SupervisorSpec(
            name="billing", children=("charge",), strategy="one_for_all", backoff=Backoff(max=3.0)
        ),
        "root": SupervisorSpec(name="root", max_restarts=7),
    }
    text = "[supervisors.billing]\nmax_restarts = 1\nbackoff.initial = 1\n[supervisors.media]\n[supervisor]\nwithin = 9"
    config = drafted(tmp_path, text).config
    specs = config.supervisors(code)
    assert list(specs) == ["root", "billing", "media"]
    assert specs["root"] == SupervisorSpec(name="root", max_restarts=7, within=9.0)
    assert specs["billing"] == SupervisorSpec(
        name="billing", children=("charge",), strategy="one_for_all", max_restarts=1,
        backoff=Backoff(initial=1.0, max=3.0),
    )  # fmt: skip
    origins = [
        config.supervisor_origin("billing", key, code) for key in ("max_restarts", "strategy", "backoff.initial")
    ]
    assert origins == ["actorq.toml:2", "code", "actorq.toml:3"]
    assert config.supervisor_origin("root", "within", code) == "actorq.toml:6"
    assert config.supervisor_origin("media", "within", code) == "default"


def test_streams_and_connection_as_they_are_given(tmp_path: Path) -> None:
    config = drafted(tmp_path, 'namespace = "x"\n[streams]\ndead_ttl = "1d"\n[nats]\nconnect_timeout = 1\n').config
    assert config.streams(StreamSettings(replicas=3)) == StreamSettings(replicas=3, dead_ttl=86_400.0)
    assert config.nats == {"connect_timeout": 1.0}
    assert config.namespace == "x"


def test_an_actor_that_the_program_does_not_have(tmp_path: Path) -> None:
    known = ", ".join(SHOP.policies)
    assert lines(tmp_path, "[actors.chrge]\nqueue = 'x'\n[actors.zzz]\n", SHOP) == [
        'actorq.toml:1: actors.chrge: there is no such actor; did you mean "charge"?',
        f"actorq.toml:3: actors.zzz: there is no such actor; known are {known}",
    ]
    assert lines(tmp_path, "[actors.chrge]\nqueue = 'x'\n", None) == []


def test_supervisors_of_the_code_have_problems_without_a_place() -> None:
    declared = Declared({"charge": Policy()}, {}, {"billing": SupervisorSpec(name="billing", children=("chrge",))})
    with pytest.raises(ConfigError) as caught:
        settle(read(None, {}, folder=Path("/nonexistent")), declared)
    assert caught.value.problems == (
        'supervisors.billing.children[0]: "chrge" is neither an actor nor a supervisor; did you mean "charge"?',
    )


def test_where_children_are_not_known_nothing_is_said_of_the_tree(tmp_path: Path) -> None:
    text = "[supervisor]\nchildren = 3\n[supervisors.billing]\nchildren = ['gone']\n"
    assert lines(tmp_path, text) == ["actorq.toml:2: supervisor.children: 3 is not a list; write [...]"]


def test_what_is_sound_without_a_program(tmp_path: Path) -> None:
    assert sound(drafted(tmp_path, TEXT)).get("defaults.threads") == 3
    with pytest.raises(ConfigError) as caught:
        sound(drafted(tmp_path, "a = 1\nb = 2\n"))
    assert len(caught.value.problems) == 2
