"""`actorq worker`: which of flag, environment, file and default decides, and what the banner says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actorq.cli import logs
from actorq.cli.main import main
from actorq.cli.worker import Start
from actorq.worker import Worker
from tests.cli.shell import Shell, one_line

Ask = Callable[..., Worker]

FILED = """
[worker]
app = "filed:system"
backend = "trio"
queues = ["media"]
exclude_queues = ["slow"]
name = "filed"
concurrency = 2
shutdown_timeout = "7s"
stop_timeout = "2s"
ack_wait = "9s"
crash_budget = 3
max_tasks = 100
max_rss = "1GiB"
log_level = "error"
"""

SYSTEM = """
from actorq import ActorSystem

system = ActorSystem("filed")

@system.actor
async def add(a: int, b: int) -> int:
    return a + b
"""


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """What a command line would run, in a folder with a module ``filed``."""
    (tmp_path / "filed.py").write_text(SYSTEM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("NATS_URL", "memory:")
    for name in ("ACTORQ_APP", "ACTORQ_CONFIG", "ACTORQ_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    starts: list[Start] = []

    def run(start: Start) -> int:
        starts.append(start)
        return 0

    def leave_alone(*_: object, **__: object) -> None:
        pass

    def ask(*arguments: str) -> Worker:
        assert main(["worker", *arguments]) == 0
        return starts[-1].worker

    monkeypatch.setattr(Start, "run", run)
    monkeypatch.setattr(logs, "set_up", leave_alone)
    yield ask
    sys.modules.pop("filed", None)


def test_the_file_decides_where_no_flag_does(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "actorq.toml").write_text(FILED)
    worker = ask()
    options = worker.options
    assert worker.name == "filed"
    assert (options.queues, options.exclude) == (("media",), ("slow",))
    assert (options.shutdown_timeout, options.stop_timeout, options.lease) == (7, 2, 9)
    assert (options.crash_budget, options.max_tasks, options.max_rss) == (3, 100, 2**30)
    assert options.app == "filed:system"
    assert worker.plan.policies["add"].concurrency == 2


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "actorq.toml").write_text(FILED)
    monkeypatch.setenv("ACTORQ_WORKER__MAX_TASKS", "200")
    monkeypatch.setenv("ACTORQ_WORKER__STOP_TIMEOUT", "3s")
    monkeypatch.setenv("ACTORQ_WORKER__SHUTDOWN_TIMEOUT", "8s")
    worker = ask(
        "-n", "flagged", "-c", "3", "-Q", "a,b", "-Q", "c", "-X", "c", "--stop-timeout", "4s", "--ack-wait", "10",
        "--max-rss", "512MiB", "--max-tasks", "0",
    )  # fmt: skip
    options = worker.options
    assert worker.name == "flagged"
    assert (options.queues, options.exclude) == (("a", "b", "c"), ("c",))
    assert (options.shutdown_timeout, options.stop_timeout, options.lease) == (8, 4, 10)
    assert (options.crash_budget, options.max_tasks, options.max_rss) == (3, 0, 2**29)
    assert worker.plan.policies["add"].concurrency == 3


def test_the_defaults(ask: Ask) -> None:
    options = ask("filed:system").options
    assert (options.queues, options.exclude, options.max_tasks, options.max_rss) == (("*",), (), 0, 0)
    assert (options.shutdown_timeout, options.stop_timeout, options.lease, options.crash_budget) == (30, 5, 30, 5)


def test_the_target_of_the_environment_goes_before_that_of_the_file(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere.toml").write_text('[worker]\napp = "nowhere:system"\n')
    monkeypatch.setenv("ACTORQ_APP", "filed:system")
    assert ask("--config", "elsewhere.toml").options.app == "filed:system"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--max-rss", "much"], "is not a size"),
        (["--max-tasks", "-1"], ">= 0"),
        (["--workers", "0"], ">= 1"),
        (["--workers", "2", "-s", "memory:"], "a broker inside one process"),
        (["-n", "n" * 63, "--workers", "2", "-s", "nats://127.0.0.1:1"], "worker name"),
    ],
)
def test_wrong_flags_are_one_line(memory: Shell, arguments: list[str], told: str) -> None:
    assert told in one_line(memory.run("worker", "shop:system", *arguments), 2)


def test_every_problem_of_a_file_is_told(memory: Shell) -> None:
    (memory.folder / "actorq.toml").write_text(
        '[worker]\nbackend = "curio"\ngrace = "5s"\n\n[supervisor]\nchildren = ["ad", "fail"]\n'
    )
    finished = memory.run("worker", "shop:system", "--burst")
    assert finished.returncode == 78
    lines = finished.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["actorq.toml:2", "actorq.toml:3", "actorq.toml:6"]
    assert 'did you mean "add"?' in lines[2]


@pytest.mark.broker
def test_the_banner_shows_limits_and_the_tree(memory: Shell) -> None:
    (memory.folder / "actorq.toml").write_text(
        """
[actors.add]
rate_limit = "25/s"
global_concurrency = 10
isolation = "process"
retry = { max_attempts = 6 }

[supervisor]
max_restarts = 1

[supervisors.media]
strategy = "one_for_all"
within = "1m"
children = ["thumbnail", "kinds"]
"""
    )
    finished = memory.run("worker", "shop:system", "--embedded", "-s", "nats://127.0.0.1:0", "--burst", "--json")
    assert finished.returncode == 0, finished.stderr
    lines = finished.stderr.splitlines()
    assert "  config     actorq.toml" in lines
    at = next(number for number, line in enumerate(lines) if line.startswith("  actor add "))
    assert lines[at + 1] == "    6 attempts, at most 25/s, at most 10 over all workers, each in a process of its own"
    tree = lines.index("  root one_for_one, 1 restart in 5s")
    assert [line.strip() for line in lines[tree + 1 : tree + 4]] == [
        "media one_for_all, 3 restarts in 1m", "thumbnail, kinds", "add, fail",
    ]  # fmt: skip
    known = json.loads(finished.stdout)
    assert known["actors"]["add"]["rate"] == "25/s"
    assert known["tree"]["children"][0]["strategy"] == "one_for_all"


def test_a_lone_root_is_one_line(memory: Shell) -> None:
    lines = memory.run("worker", "shop:system", "--burst").stderr.splitlines()
    assert lines[lines.index("  root one_for_one, 3 restarts in 5s") + 1].startswith(tuple("0123456789"))
