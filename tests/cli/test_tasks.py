"""``send``, ``result`` and ``task show``: what they refuse, what they tell, and the document of each failure."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from actorq import ActorSystem
from actorq.cli.arguments import Texts
from actorq.cli.main import main
from actorq.runtime.context import Context
from tests.cli.shell import Shell, one_line
from tests.transports.nats.raw import api

IN_SHOP = ("--namespace", "shop")


def failure(finished: subprocess.CompletedProcess[str], code: int) -> dict[str, Any]:
    """The one document of a command that failed."""
    assert finished.returncode == code, finished.stderr
    document: dict[str, Any] = json.loads(finished.stdout)
    return document


# ---- arguments


async def handler(text: str, either: str | int, anything: Any, *rest: str, ctx: Context, **more: str) -> None: ...


def fitting(*args: str, kw: tuple[str, ...] = ()) -> Any:
    system = ActorSystem("shop")
    system.actor(handler)
    return Texts.of(args, kw).fitting(system.actors["handler"].at("handler"))


def test_a_word_is_text_where_the_actor_takes_text() -> None:
    assert fitting("42", "42", "42", "42", "[]") == (("42", 42, 42, "42", "[]"), {})
    assert fitting("null", '"3"', "true", kw=("x=1",)) == (("null", "3", True), {"x": "1"})
    assert fitting("1", kw=("either=x", "anything=2")) == (("1", "x", 2), {})


def test_arguments_of_another_shape_are_left_for_the_actor_to_refuse() -> None:
    assert fitting("1", "2", kw=("text=3",)) == ((1, 2), {"text": 3})


class Notes:
    def add(self, text: str, ctx: Context) -> None: ...


def test_a_method_takes_words_as_its_parameters_do() -> None:
    system = ActorSystem("shop")
    system.actor(Notes)
    assert Texts.of(("42",), ()).fitting(system.actors["notes"].at("notes.add")) == (("42",), {})


# ---- without a broker


def test_a_method_that_the_app_does_not_have_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "noting.py").write_text(
        "import actorq\nsystem = actorq.ActorSystem('shop')\n@system.actor\nclass Notes:\n    def add(self): ...\n"
    )
    assert main(["send", "notes.remove", "-A", "noting:system"]) == 2
    assert "actor 'notes' has no method 'remove'; it has add" in capsys.readouterr().err
    assert main(["send", "notes", "-A", "noting:system"]) == 2
    assert "is a class: send to one of its methods; it has add" in capsys.readouterr().err


def test_every_failure_has_a_document_where_one_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "a.b.c", *IN_SHOP, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "InvalidName"
    assert "method of 'a' 'b.c' is not a valid name" in error["message"]
    assert main(["send", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "UsageError"
    assert main(["send", "a.b.c", *IN_SHOP, "--", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_a_time_out_covers_connecting_and_the_broker_is_the_reason(memory: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        line = one_line(memory.run("send", "add", *IN_SHOP, "-s", url, "--timeout", "500ms"), 69)
    assert "no answer within" in line
    assert time.monotonic() - began < 6  # ten seconds without the flag


def test_an_address_without_its_scheme_is_completed(memory: Shell) -> None:
    line = one_line(memory.run("send", "add", *IN_SHOP, "-s", "localhost:4222"), 78)
    assert line.endswith("did you mean nats://localhost:4222?\n")


# ---- with one


@pytest.mark.broker
def test_an_actor_that_the_system_has_not_is_sent_to_with_a_warning(shop: Shell) -> None:
    finished = shop.run("send", "nosuch", "-A", "shop:system")
    assert (finished.returncode, finished.stdout.count("\n")) == (0, 1)
    assert "shop has no actor 'nosuch' (it has add, fail, kinds, thumbnail)" in finished.stderr


@pytest.mark.broker
def test_text_arrives_as_text(shop: Shell) -> None:
    finished = shop.run("send", "kinds", "-A", "shop:system", "--wait", "--", "42", "42", "42", "-x")
    assert (finished.stdout, finished.stderr) == ("['42', 42, 42, '-x']\n", "")


@pytest.mark.broker
def test_the_document_of_a_time_out_has_the_id(shop: Shell) -> None:
    finished = shop.run("send", "nobody", *IN_SHOP, "--timeout", "200ms", "--json")
    document = failure(finished, 75)
    assert (document["state"], document["error"]["type"]) == ("unknown", "ResultTimeout")
    assert f"actorq: task {document['id']} has no outcome after 0.2 s; it goes on" in finished.stderr
    assert failure(shop.run("result", "no-such-task", *IN_SHOP, "--json"), 1)["id"] == "no-such-task"


@pytest.mark.broker
def test_a_dead_letter_names_its_task_once(shop: Shell) -> None:
    finished = shop.run("send", "add", *IN_SHOP, "--wait", "--json")
    document = failure(finished, 1)
    assert finished.stderr.startswith(f"actorq: task {document['id']} of add failed: DeadLettered: add() missing 2")
    assert document["error"]["message"].startswith("add() missing 2")
    shown = json.loads(shop.run("task", "show", document["id"], *IN_SHOP, "--json").stdout)
    assert (shown["error"], shown["message"]) == ("DeadLettered", document["error"]["message"])


@pytest.mark.broker
def test_looking_for_a_task_makes_no_streams_and_sending_says_that_it_does(shop: Shell) -> None:
    misspelt = ("--namespace", "shopp")
    for command in (("result", "T1"), ("task", "show", "T1")):
        line = one_line(shop.run(*command, *misspelt), 78)
        assert line.startswith("actorq: there is no system 'shopp' at this broker: check --namespace and --server; ")
    assert "made new streams for 'shopp': " in shop.run("send", "add", *misspelt).stderr
    assert shop.run("send", "add", *misspelt).stderr == ""


@pytest.mark.broker
def test_streams_that_do_not_fit_are_a_line_each_and_the_advice_stands_once(shop: Shell) -> None:
    spoilt = {
        "name": "aq-spoilt_results", "subjects": ["aq-spoilt.r.>"], "max_msgs_per_subject": 1, "max_age": 10**9 * 5_400,
        "allow_msg_ttl": True,
    }  # fmt: skip
    anyio.run(api, shop.environment["NATS_URL"], "STREAM.CREATE.aq-spoilt_results", spoilt)
    finished = shop.run("send", "add", "--namespace", "spoilt")
    assert finished.returncode == 78
    lines = [line for line in finished.stderr.splitlines() if "made new streams" not in line]
    assert len(lines) > 2
    assert all(line.startswith("actorq: stream aq-spoilt_results: ") for line in lines)
    assert "max_age is 90 min, needed is 0 s: remove the limit" in finished.stderr
    assert finished.stderr.count("nats CLI") == 1
