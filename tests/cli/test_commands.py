"""The commands as a shell sees them: output, talk, exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actorq.cli.main import app, main
from actorq.embedded import EmbeddedBroker
from tests.cli.shell import Shell, one_line, sockets, wait_until

# ---- without a broker


def test_help_names_every_command_and_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name in app if not name.startswith("-")]
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
    for name in names:
        assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: actorq bench" in shown
    assert 'actorq send note --namespace shop -- "-5 degrees"' in shown


def test_help_says_nothing_of_flags_that_are_off_and_ends_no_line_early(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["send"], ["server"], ["config", "show"], ["bench"]):
        assert main([*words, "--help"]) == 0
    assert "default: False" not in capsys.readouterr().out
    assert main(["sned"]) == 2
    assert capsys.readouterr().err.endswith("... (see --help)\n")
    assert main(["completion", "bash", "--json"]) == 2
    assert capsys.readouterr().err == "actorq: Unknown option: --json (see --help)\n"


def test_who_waits_for_a_broker_at_a_terminal_is_told_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorq.cli.tasks.NOTICE_AFTER", 0.1)
    waiting = ["result", "T1", "--namespace", "shop", "-s", "nats://me:hush@127.0.0.1:1", "--timeout", "1"]
    assert main(waiting) == 69
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(waiting) == 69
    first, second, _ = capsys.readouterr().err.split("\n")
    assert first == "actorq: waiting for a broker at nats://***@127.0.0.1:1; Ctrl-C ends it"
    assert second.startswith("actorq: no broker can be reached at 127.0.0.1:1: ")


def test_the_package_does_not_import_the_command_line() -> None:
    code = "import actorq, sys; sys.exit(any(name.split('.')[0] in ('cyclopts', 'rich') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_version_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out[0].isdigit()


@pytest.mark.parametrize(
    "arguments",
    [
        ["wrker"], ["send"], ["worker"], ["worker", "shop"], ["worker", "a:b", "-c", "many"], ["result", "not/an/id"],
        ["send", "add", "--kw", "novalue"], ["send", "add", "1"], ["send", "no spaces", "--namespace", "shop"],
        ["worker", "a:b", "--no-such-flag"], ["worker", "a:b", "--ack-wait", "soon"],
        ["worker", "shop.py:system"], ["worker", "a:b", "-Q", "a b"], ["worker", "a:b", "-c", "0"],
        ["worker", "a:b", "--ack-wait", "900ms"], ["server", "--port", "65536"], ["server", "--port", "-1"],
        ["send", "add", "--namespace", "shop", "-s", "memory:"],
        ["result", "T1", "--namespace", "shop", "-s", "memory:"],
        ["task", "show", "T1", "--namespace", "shop", "-s", "memory:"],
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACTORQ_APP", raising=False)
    monkeypatch.delenv("ACTORQ_NAMESPACE", raising=False)
    assert main(arguments) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("actorq: ")
    assert seen.err.count("\n") == 1


def test_a_worker_says_what_it_runs_and_then_ready(memory: Shell) -> None:
    finished = memory.run("worker", "shop:system", "--burst", "-c", "3", "-Q", "default", "-n", "w1")
    assert finished.returncode == 0
    assert finished.stdout == ""
    lines = [" ".join(line.split()) for line in finished.stderr.splitlines()]
    assert lines[0].startswith("actorq ")
    assert lines[0].endswith(" worker w1")
    assert {"system shop", "transport memory:", "backend asyncio", "queues default", "ready"} <= set(lines)
    assert "actor add queue default 3 at once in the event loop at most 10m" in lines
    assert "actor fail queue default 3 at once in threads at most 10m" in lines
    assert any(line.startswith("actor thumbnail queue media (not served)") for line in lines)


def test_the_target_may_come_from_the_environment_and_logs_may_be_json(memory: Shell) -> None:
    finished = memory.run(
        "worker", "--burst", "--json", "--log-format", "json", "--backend", "trio", ACTORQ_APP="shop:system"
    )
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["backend"] == "trio"
    first, warning, second, *_ = [json.loads(line)["message"] for line in finished.stderr.splitlines()]
    assert (first, second) == ("starting", "ready")
    assert warning.startswith("memory: is a broker inside this process")


def test_a_worker_warns_of_what_it_is_hardly_meant_to_do(memory: Shell) -> None:
    finished = memory.run("worker", "shop:system", "--burst", "-Q", "nobody,media", "-l", "debug", ACTORQ_NAMESPACE="x")
    assert finished.returncode == 0
    assert "WARNING actorq.worker: no actor of shop is in queue 'nobody'; it has default, media\n" in finished.stderr
    assert "WARNING actorq.worker: namespace 'x' instead of 'shop', by --namespace or ACTORQ_NAME" in finished.stderr
    assert "memory: is a broker inside this process" in finished.stderr
    assert finished.stderr.count("WARNING") == 3
    assert "asyncio:" not in finished.stderr  # its selectors are no news, not even for debugging


def test_an_import_error_is_one_line_with_the_users_line(memory: Shell) -> None:
    (memory.folder / "broken.py").write_text("import shop\nimport nothing_like_it\n")
    line = one_line(memory.run("worker", "broken:system"), 78)
    assert "No module named 'nothing_like_it'" in line
    assert "broken.py:2)" in line


def test_embedded_is_for_loopback_only(memory: Shell) -> None:
    line = one_line(memory.run("worker", "shop:system", "--embedded", "-s", "nats://me:hush@example.org:4222"), 2)
    assert "loopback" in line
    assert "hush" not in line


# ---- with one


@pytest.mark.broker
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_server_prints_its_url_and_leaves_nothing(memory: Shell, end: signal.Signals) -> None:
    server = memory.start("server", "--port", "0", "--json")
    assert server.stdout is not None
    known = json.loads(server.stdout.readline())
    assert known["url"].startswith("nats://127.0.0.1:")
    server.send_signal(end)
    server.communicate(timeout=20)
    assert server.returncode == 0
    assert not Path(known["store"]).exists()
    assert not Path(f"/proc/{known['pid']}").exists()


@pytest.mark.broker
def test_a_server_on_a_taken_port_is_one_line(memory: Shell) -> None:
    with EmbeddedBroker() as broker:
        taken = f"port {broker.port} is taken (a broker may already run there)"
        assert f"{taken}: use that one, or choose" in one_line(memory.run("server", "--port", str(broker.port)), 69)
        line = one_line(memory.run("worker", "shop:system", "--embedded", "-s", broker.url), 69)
        assert f"{taken}: leave out --embedded" in line


@pytest.mark.broker
def test_send_and_result(shop: Shell) -> None:
    sent = shop.run("send", "add", "2", "3", "--namespace", "shop")
    assert sent.returncode == 0, sent.stderr
    task_id = sent.stdout.strip()
    assert shop.run("result", task_id, "--namespace", "shop", "--timeout", "20s").stdout == "5\n"
    shown = shop.run("task", "show", task_id, "--json", ACTORQ_NAMESPACE="shop")
    document = json.loads(shown.stdout)
    assert (document["id"], document["state"], document["value"], document["attempts"]) == (task_id, "succeeded", 5, 1)
    assert "succeeded" in shop.run("task", "show", task_id, "-A", "shop:system").stdout


@pytest.mark.broker
def test_send_and_wait_with_keywords_and_text(shop: Shell) -> None:
    finished = shop.run("send", "thumbnail", "a.png", "--kw", "size=64", "--timeout", "20", "-A", "shop:system")
    assert (finished.returncode, finished.stdout) == (0, "a.png at 64\n")
    finished = shop.run("send", "add", "--kw", "a=1", "--kw", "b=1", "--wait", "--json", "--namespace", "shop")
    assert json.loads(finished.stdout)["value"] == 2


@pytest.mark.broker
def test_a_failed_task_is_exit_1_with_the_handlers_own_error(shop: Shell) -> None:
    line = one_line(shop.run("send", "fail", "no route", "--wait", "--namespace", "shop"), 1)
    assert "of fail failed: ValueError: no route" in line
    finished = shop.run("send", "fail", "no route", "--wait", "--json", "--namespace", "shop")
    document: dict[str, Any] = json.loads(finished.stdout)
    assert finished.returncode == 1
    assert (document["state"], document["error"]["type"]) == ("failed", "ValueError")
    shown = shop.run("task", "show", document["id"], "--namespace", "shop").stdout
    assert "retries_exhausted" in shown
    assert "Traceback" in shown


@pytest.mark.broker
def test_wrong_arguments_are_told_before_anything_is_sent(shop: Shell) -> None:
    assert "add" in one_line(shop.run("send", "add", "1", "-A", "shop:system"), 2)


@pytest.mark.broker
def test_a_time_out_is_75_and_an_unknown_task_1(shop: Shell) -> None:
    nobody = shop.run("send", "nobody", "--namespace", "shop").stdout.strip()
    assert nobody in one_line(shop.run("result", nobody, "--timeout", "200ms", "--namespace", "shop"), 75)
    shown = json.loads(shop.run("task", "show", nobody, "--json", "--namespace", "shop").stdout)
    assert (shown["state"], shown["actor"]) == ("queued", "nobody")
    assert "no-such-task" in one_line(shop.run("result", "no-such-task", "--namespace", "shop"), 1)


@pytest.mark.broker
def test_ctrl_c_while_waiting_says_that_the_task_goes_on(shop: Shell) -> None:
    task_id = shop.run("send", "nobody", "--namespace", "shop").stdout.strip()
    waiting = shop.start("result", task_id, "--namespace", "shop")
    wait_until(lambda: sockets(waiting.pid) >= 3, "its event loop and its connection are there")
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out, err) == (130, "", f"actorq: interrupted; task {task_id} goes on\n")


@pytest.mark.broker
def test_no_broker_is_69_and_a_refused_user_77(shop: Shell) -> None:
    line = one_line(shop.run("send", "add", "--namespace", "shop", "-s", "nats://127.0.0.1:1"), 69)
    assert line.startswith("actorq: no broker can be reached at 127.0.0.1:1: ")
    assert "start one with `actorq server`" in line
    with EmbeddedBroker(config='authorization { user: "me", password: "right" }') as broker:
        line = one_line(
            shop.run("send", "add", "--namespace", "shop", "-s", broker.url, NATS_USER="me", NATS_PASSWORD="wrong"), 77
        )
        assert "wrong" not in line
        sent = shop.run("send", "add", "--namespace", "shop", "-s", broker.url, "--user", "me", "--password", "right")
        assert sent.returncode == 0, sent.stderr


@pytest.mark.broker
def test_a_worker_with_its_own_broker_and_its_tasks_in_the_log(memory: Shell) -> None:
    worker = memory.start(
        "worker", "shop:system", "--embedded", "-s", "nats://127.0.0.1:0", "--json", "--log-format", "json"
    )
    assert worker.stdout is not None
    url = json.loads(worker.stdout.readline())["transport"]
    finished = memory.run("send", "add", "20", "22", "--wait", "--namespace", "shop", "-s", url)
    assert finished.stdout == "42\n"
    worker.send_signal(signal.SIGINT)
    _, talk = worker.communicate(timeout=30)
    assert worker.returncode == 0
    entries = [json.loads(line) for line in talk.splitlines()]
    entry = next(entry for entry in entries if entry["message"] == "adding")
    assert (entry["logger"], entry["level"], entry["actor"], entry["attempt"]) == ("shop", "warning", "add", 1)
    assert entry["task_id"]
