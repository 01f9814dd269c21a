"""Supervision, dead letters and reload with real workers (F, G, interface 3)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from actorq import ActorSystem
from actorq.testing import wait_until
from tests.integration.processes import ROOT, Lab, WorkerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.broker]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
TARGET = "tests.integration.supervised:system"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "actorq.toml"


def start(lab: Lab, config: Path, backend: str = "asyncio", *, text: str = "") -> WorkerProcess:
    config.write_text(text)
    return lab.worker("--config", str(config), "--ack-wait", "2s", backend=backend, target=TARGET)


def lives(worker: WorkerProcess) -> list[str]:
    """What its actors did: ``+a`` for each setup, ``-a`` for each teardown."""
    signs = {"up": "+", "down": "-"}
    return [signs[what] + name for what, name in worker.log() if what in signs]


@BACKENDS
@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["-b", "+b"]),
        ("rest_for_one", ["-b", "-c", "+b", "+c"]),
        ("one_for_all", ["-a", "-b", "-c", "+a", "+b", "+c"]),
    ],
)
async def test_strategies(
    lab: Lab, system: ActorSystem, config: Path, backend: str, strategy: str, expected: list[str]
) -> None:
    """G-3, on a real worker: who goes down and comes up with the one that fails, and in which order they come up."""
    text = f'[supervisor]\nstrategy = "{strategy}"\nchildren = ["a", "b", "c"]\n'
    worker = await start(lab, config, backend, text=text).ready()
    assert lives(worker) == ["+a", "+b", "+c"]
    (lab.folder / "break-b").touch()
    await wait_until(lambda: len(lives(worker)) == 3 + len(expected), description="they are up again")
    lived = lives(worker)[3:]
    assert sorted(lived) == sorted(expected)
    assert [life for life in lived if life[0] == "+"] == [life for life in expected if life[0] == "+"]
    async with system:
        assert await system.ask("b.work", 0) == worker.process.pid
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert lives(worker)[-3:] == ["-c", "-b", "-a"]


@BACKENDS
async def test_a_setup_that_fails_for_ever_ends_the_worker(
    lab: Lab, system: ActorSystem, config: Path, backend: str
) -> None:
    """F, layer 4: exit 70, with the path and the last error in one line, and what ran comes to others."""
    worker = await start(lab, config, backend, text='[supervisor]\nchildren = ["a", "b", "c", "steady"]').ready()
    async with system:
        handle = await system.send("steady", 2.0)
        await wait_until(lambda: handle.id in worker.in_flight(), description="it runs")
        (lab.folder / "no-a").touch()
        (lab.folder / "break-a").touch()
        assert await worker.ended() == 70
        (line,) = [line for line in worker.said.splitlines() if line.startswith("actorq: ")]
        assert "root gave up" in line
        assert "root/a (ConnectionRefusedError: the resource of a is away)" in line
        assert lives(worker)[-2:] == ["-c", "-b"]
        (lab.folder / "no-a").unlink()
        other = await start(lab, config, backend).ready()
        assert await handle.result(timeout=30) in (worker.process.pid, other.process.pid)


@BACKENDS
async def test_a_setup_that_fails_three_times_and_then_works(lab: Lab, config: Path, backend: str) -> None:
    """G-4: within the intensity; the worker and all others stay."""
    worker = await start(lab, config, backend, text='[supervisor]\nwithin = "1m"\nmax_restarts = 10').ready()
    (lab.folder / "no-b").touch()
    (lab.folder / "break-b").touch()
    await wait_until(lambda: worker.said.count("the resource of b is away") >= 3, description="three failed starts")
    (lab.folder / "no-b").unlink()
    await wait_until(lambda: lives(worker)[-1] == "+b", description="it is up again")
    assert lives(worker) == ["+a", "+b", "+c", "-b", "+b"]


@BACKENDS
async def test_a_setup_that_fails_at_boot(lab: Lab, config: Path, backend: str) -> None:
    """G-2: exit 70 at once with its path; those that had started are torn down."""
    (lab.folder / "no-c").touch()
    worker = start(lab, config, backend)
    assert await worker.ended() == 70
    assert lives(worker) == ["+a", "+b", "-b", "-a"]
    assert "ready" not in worker.said
    (line,) = [line for line in worker.said.splitlines() if line.startswith("actorq: ")]
    assert "root/c" in line
    assert "the resource of c is away" in line


async def test_the_end_of_the_whole_tree_ends_the_worker(lab: Lab, config: Path) -> None:
    """G-8, at the root: a worker that runs nothing any more does not stay."""
    text = '[supervisor]\nauto_shutdown = "any"\nchildren = ["a", "b"]\n'
    text += '[actors.a]\nrestart = "temporary"\nsignificant = true\n'
    worker = await start(lab, config, text=text).ready()
    (lab.folder / "break-a").touch()
    assert await worker.ended() == 0
    assert lives(worker) == ["+a", "+b", "-a", "-b"]
    assert "the supervision tree has ended" in worker.said


async def test_stopping_is_served_while_an_actor_backs_off(lab: Lab, config: Path) -> None:
    """G-6: within 500 ms."""
    text = '[supervisor]\nmax_restarts = 5\nbackoff = { initial = "1m", max = "1m" }\n'
    worker = await start(lab, config, text=text).ready()
    (lab.folder / "break-a").touch()
    await wait_until(lambda: "root/a failed" in worker.said, description="it backs off")
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    await wait_until(lambda: "-b" in lives(worker), description="the others stop")
    assert time.monotonic() - began <= 0.5
    assert await worker.ended() == 0


async def test_a_dead_letter_is_revived_after_a_fix(lab: Lab, system: ActorSystem, config: Path) -> None:
    """F-3: attempts at the stated delays, one dead letter; revived, the awaiter's own handle gives the value."""
    worker = await start(lab, config).ready()
    async with system:
        began = time.monotonic()
        handle = await system.send("fragile")
        with pytest.raises(LookupError, match="not mended yet") as caught:
            await handle.result(timeout=30)
        assert time.monotonic() - began >= 0.2 + 0.4
        assert (getattr(caught.value, "attempts", 0), lab.starts()[handle.id]) == (3, 3)
        (letter,) = shell(lab, "dead", "ls", "--json")
        assert (letter["id"], letter["reason"], letter["attempts"]) == (handle.id, "retries_exhausted", 3)
        (lab.folder / "mended").touch()
        shell(lab, "dead", "retry", handle.id, "--yes", "--json")
        assert await handle.result(timeout=30) == "attempt 1 of generation 1"
        assert shell(lab, "dead", "ls", "--json") == []
    assert worker.process.poll() is None


async def test_a_configuration_is_read_again_under_load(lab: Lab, system: ActorSystem, config: Path) -> None:
    """Interface 3: a bad one changes nothing, a good one neither loses nor doubles a task."""
    worker = await start(lab, config, text="[actors.steady]\nconcurrency = 4\n").ready()
    async with system:
        handles = await system.ref("steady").send_many([(0.005,)] * 1_000)
        await wait_until(lambda: len(lab.starts()) > 50, description="work is under way")
        config.write_text('[actors.steady]\nrate_limit = "25 per sec"\nqueue = "other"\n')
        worker.signal(signal.SIGHUP)
        await wait_until(lambda: "nothing has changed" in worker.said, description="it is refused")
        assert f'{config}:2: actors.steady.rate_limit: "25 per sec" is not a rate; write "25/s"' in worker.said
        for number, text in enumerate(('queue = "other"\nconcurrency = 8', 'queue = "third"', 'rate_limit = "900/s"')):
            config.write_text(f"[actors.steady]\n{text}\n")
            worker.signal(signal.SIGHUP)
            await wait_until(
                lambda: worker.said.count("is read again") == number + 1,  # noqa: B023
                description="it is applied",
            )
        for handle in handles:
            assert await handle.result(timeout=60) == worker.process.pid
    assert set(lab.starts().values()) == {1}
    assert len(lab.starts()) == 1_000


@pytest.mark.parametrize("deploys", [4, pytest.param(20, marks=pytest.mark.slow)], ids=["mini", "full"])
async def test_deploys_leave_the_crash_budget_alone(lab: Lab, system: ActorSystem, config: Path, deploys: int) -> None:
    """E-6, D-5: drained and restarted again and again during one long task: nothing is counted as a crash."""
    config.write_text("")
    options = ("--config", str(config), "--shutdown-timeout", "0.1")
    async with system:
        handle = await system.send("a.work", 3.0)
        for _ in range(deploys):
            worker = await lab.worker(*options, target=TARGET).ready()
            await wait_until(lambda: handle.id in worker.in_flight(), description="it runs")  # noqa: B023
            worker.signal(signal.SIGTERM)
            assert await worker.ended() == 0
        copy = (await system.client.find(handle.id)).envelope
        assert copy is not None
        assert (copy.leases_lost, copy.attempt) == (0, 1)
        last = await lab.worker(*options, target=TARGET).ready()
        assert await handle.result(timeout=30) == last.process.pid
    print(f"{deploys} deploys during one task: {lab.starts()[handle.id]} starts, 0 leases lost, attempt 1")


def shell(lab: Lab, *arguments: str) -> Any:
    run = subprocess.run(
        [sys.executable, "-m", "actorq", *arguments, "--namespace", lab.name, "-s", lab.url],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)
