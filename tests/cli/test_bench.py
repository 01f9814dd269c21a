"""The bench: the figures are there, on both sides, for real workers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from actorq.cli.bench.workloads import WORKLOADS
from actorq.cli.main import main


def test_an_unknown_workload_is_named_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "drain,fly"]) == 2
    assert f"--only: unknown fly; known are {', '.join(WORKLOADS)}, limited" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--tasks", "--processes"])
def test_none_at_all_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", flag, "0"]) == 2


def test_another_transport_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "-s", "memory:"]) == 2
    assert "bench measures NATS" in capsys.readouterr().err


@pytest.mark.broker
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_figure_has_the_raw_clients_beside_it(backend: str) -> None:
    flags = ("--tasks", "200", "--only", "enqueue,drain,latency", "--json", "--backend", backend)
    finished = subprocess.run(
        [sys.executable, "-m", "actorq", "bench", *flags], capture_output=True, text=True, timeout=90, check=False
    )
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert document["broker"] == "embedded, sync_interval 2m"
    names = [figure["name"] for figure in document["figures"]]
    assert names == [
        "enqueue one by one, tasks/s", "enqueue pipelined, tasks/s", "drain, results stored, tasks/s",
        "drain, no results, tasks/s", "submit and await one, p50, ms", "submit and await one, p95, ms",
        "submit and await one, p99, ms",
    ]  # fmt: skip
    assert all(figure["actorq"] > 0 and figure["raw"] > 0 for figure in document["figures"])
