"""The environment: in strings, and instead of keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.config import Declared, read, settle
from actorq.config.variables import filled
from actorq.model.policy import Policy
from actorq.model.supervision import SupervisorSpec
from tests.config.shop import drafted, lines
from tests.config.test_values import QUEUES, TAKEN


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain $HOME $5", "plain $HOME $5"),
        ("${USER}", "me"),
        ("a-${USER}-${EMPTY}-b", "a-me--b"),
        ("${GONE:-x y}", "x y"),
        ("${EMPTY:-x}", "x"),
        ("${GONE:-}", ""),
        ("$${USER} costs 5$$", "${USER} costs 5$"),
        ("$$${USER}", "$me"),
    ],
)
def test_variables_in_a_string(text: str, result: str) -> None:
    assert filled(text, {"USER": "me", "EMPTY": ""}) == (result, [])


@pytest.mark.parametrize("text", ["${", "a ${} b", "${1A}", "${A", "${A-b}"])
def test_what_begins_like_a_variable_and_is_none(text: str) -> None:
    assert filled(text, {"A": "x"})[1] == [
        '"${" begins no variable; write ${NAME} or ${NAME:-default}, and $$ for a dollar sign'
    ]


@given(st.text("a$", max_size=10))
def test_dollar_signs_alone_mean_nothing_but_themselves(text: str) -> None:
    assert filled(text.replace("$", "$$"), {}) == (text, [])


def test_all_that_are_missing_are_told_with_their_lines(tmp_path: Path) -> None:
    text = '[nats]\npassword = "${PW}"\nservers = [\n"nats://${HOST}:${PORT:-4222}",\n"${BC}"]\n'
    assert lines(tmp_path, text, HOST="h") == [
        "actorq.toml:2: nats.password: there is no variable PW in the environment; set it, or write ${PW:-default}",
        "actorq.toml:5: nats.servers[1]: there is no variable BC in the environment; set it, or write ${BC:-default}",
    ]
    config = drafted(tmp_path, text, PW="x", HOST="h", BC="nats://o").config
    assert config.nats == {"password": "x", "servers": ("nats://h:4222", "nats://o")}


def test_a_string_with_a_variable_may_stand_for_anything(tmp_path: Path) -> None:
    text = '[worker]\nworkers = "${N:-2}"\nqueues = "${Q}"\n[defaults]\nsignificant = "${S}"\nretry.factor = "1${D}5"\n'
    config = drafted(tmp_path, text, Q="a,b", S="true", D=".").config
    assert config.worker == {"workers": 2, "queues": ("a", "b")}
    assert (config.get("defaults.significant"), config.get("defaults.retry.factor")) == (True, 1.5)
    assert lines(tmp_path, text, Q="a", S="perhaps", D=".") == [
        'actorq.toml:5: defaults.significant: "perhaps" is not true or false; write one of them, without quotes'
    ]


def test_variables_in_arguments_of_schedules(tmp_path: Path) -> None:
    text = '[[schedules]]\nname = "a"\nactor = "b"\nevery = 5\nkwargs = { x = ["${A}", { y = "${A}" }] }\n'
    config = drafted(tmp_path, text, A="1").config
    assert config.values["schedules", 0, "kwargs"].value == {"x": ["1", {"y": "1"}]}


def test_a_value_that_another_file_replaces_needs_no_variable(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('worker.name = "${GONE}"\n')
    assert lines(tmp_path, 'include = "base.toml"\nworker.name = "here"\n') == []


def test_variables_instead_of_keys(tmp_path: Path) -> None:
    config = drafted(
        tmp_path,
        '[worker]\nworkers = 2\n[actors.charge]\nrate_limit = "9/s"\n',
        ACTORQ_WORKER__SHUTDOWN_TIMEOUT="45s", ACTORQ_ACTORS__CHARGE__RATE_LIMIT="5/s",
        ACTORQ_DEFAULTS__RETRY__INITIAL="2s", ACTORQ_SUPERVISOR__BACKOFF__MAX="1m", ACTORQ_WORKER__QUEUES="a,b",
    ).config  # fmt: skip
    assert config.worker == {"workers": 2, "shutdown_timeout": 45.0, "queues": ("a", "b")}
    assert config.origin("actors.charge.rate_limit") == "env ACTORQ_ACTORS__CHARGE__RATE_LIMIT"
    assert config.supervisors({})["root"].backoff.max == 60.0
    assert config.policy_for("charge", Policy(), frozenset()).retry.initial == 2.0


def test_other_variables_of_actorq_are_left_alone() -> None:
    environ = dict.fromkeys(("ACTORQ_TRANSPORT", "ACTORQ_NAMESPACE", "ACTORQ_APP", "ACTORQ_NATS_SERVER"), "shop:x")
    assert read(None, environ | {"XACTORQ_WORKER__X": "1"}, folder=Path("/nonexistent")).problems == ()


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("ACTORQ_WORKER__GRACE", "1", 'unknown key "worker.grace"; did you mean "worker.shutdown_timeout"?'),
        ("ACTORQ_WORKR__QUEUE", "1", 'unknown key "workr.queue"; did you mean "worker.queues"?'),
        ("ACTORQ_WORKER__WORKERS__X", "1", 'unknown key "worker.workers.x"; did you mean "worker.workers"?'),
        ("ACTORQ_DEFAULTS__THROWS", "1", 'unknown key "defaults.throws"; did you mean "defaults.retry.no_retry"?'),
        (
            "ACTORQ_SUPERVISOR__BACKOFF__XYZ", "1",
            'unknown key "supervisor.backoff.xyz"; known are initial, factor, max, jitter',
        ),
        ("ACTORQ_DEFAULTS__RETRY", "1", '"defaults.retry" is a table; append __ and one of its keys'),
        ("ACTORQ_WORKER__WORKERS", "two", '"two" is not allowed; write a whole number, 1 or more'),
        ("ACTORQ_WORKER__QUEUES", "a b,c", f'"a b" is not the name of a queue; {QUEUES}'),
        ("ACTORQ_SUPERVISORS__ROOT__WITHIN", "1", TAKEN),
        ("ACTORQ_ACTORS____TIMEOUT", "1", '"" is not a name; use 1 to 64 of A-Z a-z 0-9 _ -'),
    ],
)  # fmt: skip
def test_variables_that_stand_for_no_key_or_no_value(tmp_path: Path, variable: str, value: str, line: str) -> None:
    assert lines(tmp_path, "", None, **{variable: value}) == [f"env {variable}: {line}"]


def test_problems_of_variables_come_last_in_order_of_their_names(tmp_path: Path) -> None:
    found = lines(tmp_path, "zzz = 1\n", None, ACTORQ_B__X="1", ACTORQ_A__X="1")
    assert [line.split(":")[0] for line in found] == ["actorq.toml", "env ACTORQ_A__X", "env ACTORQ_B__X"]


def test_names_lose_case_and_dashes_in_variables(tmp_path: Path) -> None:
    declared = Declared({"Geo-Coder": Policy()}, {}, {"Front-End": SupervisorSpec(name="Front-End", max_restarts=1)})
    draft = drafted(
        tmp_path, "[actors.Geo-Coder]\nthreads = 2\n", ACTORQ_ACTORS__GEO_CODER__CONCURRENCY="3",
        ACTORQ_SUPERVISORS__FRONT_END__WITHIN="9s", ACTORQ_SUPERVISORS__FRONT_END__CHILDREN="Geo-Coder",
    )  # fmt: skip
    plan = settle(draft, declared)
    assert (plan.policies["Geo-Coder"].concurrency, plan.policies["Geo-Coder"].threads) == (3, 2)
    assert [node.path for node in plan.tree.root.walk()] == ["root", "root/Front-End", "root/Front-End/Geo-Coder"]
    spec = draft.config.supervisors(declared.supervisors)["Front-End"]
    assert (spec.within, spec.max_restarts) == (9.0, 1)


def test_a_variable_for_an_actor_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert lines(tmp_path, "", ACTORQ_ACTORS__CHRGE__TIMEOUT="3s") == [
        'env ACTORQ_ACTORS__CHRGE__TIMEOUT: there is no such actor; did you mean "charge"?'
    ]
