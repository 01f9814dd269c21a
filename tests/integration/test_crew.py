"""Several worker processes and their parent (semantics F, layer 4; E-6): killed, recycled, stopped, orphaned."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from actorq import ActorSystem, Handle, Retry, TimedOut
from actorq.testing import wait_until
from tests.integration.crews import Crew
from tests.integration.processes import Lab

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

Start = Callable[..., Crew]


@pytest.fixture
def crew(lab: Lab) -> Iterator[Start]:
    """Starts one; afterwards nothing of it is left that nobody ended."""
    started: list[Crew] = []

    def start(*options: str, **environment: str) -> Crew:
        started.append(Crew(lab, *options, **environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


async def values(handles: list[Handle[int]]) -> Counter[int]:
    """Which process each value is from: all have one."""
    return Counter([await handle.result(timeout=60) for handle in handles])


async def test_a_killed_process_is_replaced(crew: Start, system: ActorSystem) -> None:
    """SIGKILL under load: another one comes after the backoff, nothing is lost, only what was in flight runs again."""
    running = crew("--workers", "2", "--ack-wait", "2s")
    victim, other = [child.pid for child in await running.ready()]
    async with system:
        handles = await system.ref("work").send_many([(0.05,)] * 500)
        await wait_until(lambda: bool(running.in_flight(victim)), description="the victim works")
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        await running.says("crew-1 has started again")
        assert time.monotonic() - killed < 5
        by = await values(handles)
    assert {child.pid for child in running.children()} - {victim, other}
    assert set(by) >= {other}
    assert set(running.starts()) == {handle.id for handle in handles}
    assert {task for task, count in running.starts().items() if count > 1} <= running.in_flight(victim)
    assert re.search(rf"worker process crew-1 \(pid {victim}\) was killed by SIGKILL\): restart 1 of 3", running.said)
    running.process.terminate()
    assert await running.ended() == 0, running.said


@pytest.mark.parametrize(("count", "backend"), [("1", "asyncio"), ("2", "trio")])
async def test_processes_are_recycled_after_so_many_tasks(
    crew: Start, system: ActorSystem, count: str, backend: str
) -> None:
    """--max-tasks under load: nothing lost, nothing doubled, and it counts as no failure."""
    running = crew("--workers", count, "--max-tasks", "60", "--backend", backend)
    await running.ready()
    async with system:
        handles = await system.ref("work").send_many([(0.02,)] * 300)
        by = await values(handles)
    assert dict(running.starts()) == {handle.id: 1 for handle in handles}
    assert len(by) >= 3
    assert "max_tasks is 60" in running.said
    assert "ended in order: another one takes its place" in running.said
    assert "failed" not in running.said
    running.process.terminate()
    assert await running.ended() == 0, running.said


async def test_processes_are_recycled_when_they_have_grown(crew: Start, system: ActorSystem) -> None:
    """--max-rss likewise: what a leaking handler took goes with the process."""
    running = crew("--workers", "1", "--max-rss", "256MiB")
    (first,) = await running.ready()
    async with system:
        handles = await system.ref("grow").send_many([(64,)] * 4)
        handles += await system.ref("work").send_many([(2.0,)] * 8)
        await running.says("max_rss is 256 MiB")
        handles += await system.ref("work").send_many([(0.01,)] * 20)
        by = await values(handles)
    assert dict(running.starts()) == {handle.id: 1 for handle in handles}
    assert first.pid in by
    assert len(by) == 2
    (second,) = running.children()
    assert second.memory_info().rss < 200 * 2**20


async def test_without_their_parent_they_end_and_hand_back_what_runs(
    lab: Lab, crew: Start, system: ActorSystem
) -> None:
    """kill -9 on the parent: all are gone within 5 s, and what ran goes on elsewhere before its lease would end."""
    running = crew("--workers", "2")
    children = await running.ready()
    async with system:
        handles = await system.ref("wait").send_many([(2.0,)] * 100)
        await wait_until(
            lambda: all(running.in_flight(child.pid) for child in children), description="both are at work"
        )
        running.process.kill()
        await wait_until(lambda: not running.living(), timeout=5, description="the children are gone")
        await lab.worker().ready()
        await values(handles)
    assert {task for task, count in running.starts().items() if count > 1}


async def test_a_blocked_event_loop_does_not_outlive_its_parent(crew: Start, system: ActorSystem) -> None:
    """A process whose loop is dead cannot hand anything back, but it ends."""
    running = crew("--workers", "1")
    (child,) = await running.ready()
    async with system:
        await system.send("block_the_loop", 60.0)
        await wait_until(lambda: bool(running.in_flight(child.pid)), description="it blocks")
        running.process.kill()
        await wait_until(lambda: not running.living(), timeout=5, description="the child is gone")


@pytest.mark.parametrize("everybody", [False, True], ids=["the parent", "all processes"])
async def test_the_first_signal_drains_all_together(crew: Start, system: ActorSystem, everybody: bool) -> None:
    """Running tasks end, each once; also when a service manager sends SIGTERM to every process by itself."""
    running = crew("--workers", "2")
    children = await running.ready()
    async with system:
        handles = await system.ref("wait").send_many([(1.5,)] * 60)
        await wait_until(lambda: len(running.in_flight()) == 60, description="all run")
        for child in children if everybody else []:
            child.terminate()
        running.process.terminate()
        began = time.monotonic()
        assert await running.ended() == 0, running.said
        assert time.monotonic() - began < 5
        by = await values(handles)
    assert dict(running.starts()) == {handle.id: 1 for handle in handles}
    assert set(by) == {child.pid for child in children}
    assert "cancelling what runs" not in running.said


async def test_the_second_signal_cancels(lab: Lab, crew: Start, system: ActorSystem) -> None:
    """What runs is handed back at once."""
    running = crew("--workers", "2", "--shutdown-timeout", "10m")
    await running.ready()
    async with system:
        handle = await system.send("wait", 600.0)
        await wait_until(lambda: bool(running.in_flight()), description="it runs")
        running.process.terminate()
        await wait_until(lambda: running.said.count("stopping") >= 3, description="all drain")
        running.process.send_signal(signal.SIGINT)
        assert await running.ended(15) == 0, running.said
        other = await lab.worker().ready()
        await wait_until(lambda: other.in_flight() == {handle.id}, timeout=10, description="handed over")


async def test_the_third_signal_ends_all_at_once(crew: Start, system: ActorSystem) -> None:
    """Not even a thread that does not stop keeps anybody."""
    running = crew("--workers", "2", "--shutdown-timeout", "10m")
    await running.ready()
    async with system:
        await system.send("wait_in_thread", 60.0)
        await wait_until(lambda: bool(running.in_flight()), description="it runs")
        running.process.terminate()
        await wait_until(lambda: running.said.count("stopping") >= 3, description="all drain")
        running.process.terminate()
        await running.says("cancelling what runs")
        running.process.terminate()
        assert await running.ended(5) in (70, 128 + signal.SIGTERM)
        await wait_until(lambda: not running.living(), timeout=5, description="the children are gone")


async def test_a_process_that_leaves_a_thread_behind_is_exit_70(crew: Start, system: ActorSystem) -> None:
    """Its message is left to its lease: that is not clean."""
    running = crew("--workers", "2", "--shutdown-timeout", "500ms")
    await running.ready()
    async with system:
        await system.send("wait_in_thread", 60.0)
        await wait_until(lambda: bool(running.in_flight()), description="it runs")
        running.process.terminate()
        assert await running.ended() == 70, running.said


async def test_a_process_with_too_many_stuck_threads_is_replaced(crew: Start, system: ActorSystem) -> None:
    """At `max_abandoned` it drains and ends, which is a failure: another one takes its place."""
    running = crew("--workers", "1")
    (child,) = await running.ready()
    async with system:
        other = await system.send("wait", 1.5)
        for _ in range(2):
            await system.ref("stuck").options(timeout="100ms", retry=Retry(max_attempts=1)).send(60.0)
        assert await other.result(timeout=20) == child.pid
        await running.says("crew-1 has started again")
    assert f"crew-1 (pid {child.pid}) ended with exit code 70: abandoned threads of stuck" in running.said


async def test_a_tree_that_gave_up_ends_its_process_whatever_its_threads_do(crew: Start, system: ActorSystem) -> None:
    """More restarts of an actor than allowed, beside a thread that does not stop: the parent hears why, and goes on."""
    running = crew("--workers", "1", ACTORQ_SUPERVISOR__MAX_RESTARTS="1")
    (child,) = await running.ready()
    async with system:
        stuck = await system.ref("stuck").options(timeout="100ms", retry=Retry(max_attempts=1)).send(60.0)
        with pytest.raises(TimedOut):
            await stuck.result(timeout=20)
        await system.send("break_down")
        await running.says("root/break_down failed")  # two in one life would be one failure
        await system.send("break_down")
        await running.says("crew-1 has started again")
    assert re.search(
        rf"process crew-1 \(pid {child.pid}\) ended with exit code 70: root gave up: 2 failures", running.said
    )


async def test_a_process_that_dies_again_and_again_ends_the_parent(lab: Lab, crew: Start, tmp_path: Path) -> None:
    """More than max_restarts: the others stop in order, exit 70, and the last end is told."""
    running = crew("--workers", "2", ACTORQ_SUPERVISOR__MAX_RESTARTS="2", ACTORQ_SUPERVISOR__WITHIN="1m")
    first, _ = await running.ready()
    (tmp_path / "trouble").write_text("die")
    first.kill()
    assert await running.ended() == 70, running.said
    last = running.said.splitlines()[-1]
    assert re.match(
        r"actorq: workers gave up: 3 failures within 60 s, more than max_restarts = 2; the last: worker process crew-1"
        r" \(pid \d+\) ended with exit code 3", last,
    ), last  # fmt: skip
    assert not running.living()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("options", "trouble", "code", "line"),
    [
        (("--json",), "no database", 70, "the lifespan of system '.*' failed: ConnectionError: no database"),
        (("--json", "-s", f"nats://127.0.0.1:{free_port()}"), "", 69, "no broker can be reached at 127.0.0.1"),
    ],
    ids=["lifespan", "broker"],
)
async def test_a_failure_at_boot_is_told_once(
    crew: Start, tmp_path: Path, options: tuple[str, ...], trouble: str, code: int, line: str
) -> None:
    """One clear line and the code of a worker without a parent; with --json one document."""
    if trouble:
        (tmp_path / "trouble").write_text(trouble)
    running = crew("--workers", "2", "-l", "error", *options, ACTORQ_NATS__CONNECT_TIMEOUT="300ms")
    assert await running.ended() == code, running.said
    told = [text for text in running.said.splitlines() if re.search(line, text)]
    assert len(told) == 1, running.said
    assert told[0].startswith("actorq: ")
    assert re.search(line, json.loads(running.data)["error"]["message"])
    assert not running.living()


async def test_a_signal_is_served_while_they_start(crew: Start) -> None:
    """Nothing runs yet, so nothing is waited for: here they wait for a broker that is not there."""
    running = crew("--workers", "2", "-s", f"nats://127.0.0.1:{free_port()}")
    await wait_until(lambda: bool(running.children()), description="one starts")
    running.process.terminate()
    began = time.monotonic()
    assert await running.ended() == 0, running.said
    assert time.monotonic() - began < 3
    assert not running.living()


async def test_with_burst_they_end_by_themselves(crew: Start, system: ActorSystem) -> None:
    """Once all is done nobody is replaced, and the parent ends."""
    async with system:
        handles = await system.ref("work").send_many([(0.02,)] * 200)
        running = crew("--workers", "2", "--burst")
        assert await running.ended() == 0, running.said
        await values(handles)
    assert dict(running.starts()) == {handle.id: 1 for handle in handles}


async def test_other_signals_reach_every_process(crew: Start, system: ActorSystem, tmp_path: Path) -> None:
    """HUP reads the configuration again, USR1 shows where everything stands; everybody goes on."""
    file = tmp_path / "actorq.toml"
    file.write_text("[worker]\nworkers = 2\n")
    running = crew("--config", str(file), "--json")
    children = await running.ready()
    assert json.loads(running.data)["processes"] == ["crew-1", "crew-2"]
    file.write_text("[worker]\nworkers = 2\nstop_timeout = '1s'\n[supervisor]\nmax_restarts = 0\n")
    running.process.send_signal(signal.SIGHUP)
    await wait_until(lambda: running.said.count("configuration is read again") == 2, description="all have read it")
    running.process.send_signal(signal.SIGUSR1)
    await wait_until(lambda: running.said.count("supervision tree:") == 3, description="all have told")
    assert f"crew-1 (process {children[0].pid}): running" in running.said
    assert running.children() == children
    async with system:
        assert await system.ask("work", 0.0) in {child.pid for child in children}
    children[0].kill()
    assert await running.ended() == 70
    assert "more than max_restarts = 0" in running.said


async def test_a_process_that_is_starting_reads_the_changed_configuration_too(crew: Start, tmp_path: Path) -> None:
    """HUP while one is on its way: it hears of it once it can."""
    file = tmp_path / "actorq.toml"
    file.write_text("[worker]\nworkers = 2\n")
    running = crew("--config", str(file))
    victim, other = await running.ready()
    (tmp_path / "trouble").write_text("wait")
    victim.kill()
    await wait_until(lambda: set(running.children()) - {victim, other} != set(), description="another one starts")
    running.process.send_signal(signal.SIGHUP)
    await running.says("configuration is read again")
    (tmp_path / "trouble").unlink()
    await wait_until(lambda: running.said.count("configuration is read again") == 2, description="both have read it")


async def test_a_bad_configuration_changes_nothing(crew: Start, tmp_path: Path) -> None:
    """Nor does one that asks for another number of processes."""
    file = tmp_path / "actorq.toml"
    file.write_text("[worker]\nworkers = 2\n")
    running = crew("--config", str(file))
    children = await running.ready()
    file.write_text("[worker]\nworkers = 3\n[supervisor]\nmax_restarts = 0\n")
    running.process.send_signal(signal.SIGHUP)
    await wait_until(lambda: running.said.count("cannot change while running") == 2, description="all refuse it")
    file.write_text("[worker]\nworkers = 2\n")
    children[0].kill()
    await running.says("crew-1 has started again")


async def test_they_end_with_their_own_broker(crew: Start) -> None:
    """An embedded broker is the parent's; when it ends, its tasks are gone, and so is everybody."""
    running = crew("--workers", "2", "--embedded", "-s", f"nats://127.0.0.1:{free_port()}")
    broker, *_ = await running.ready()
    assert "nats-server" in broker.name()
    broker.send_signal(signal.SIGKILL)
    assert await running.ended() == 69, running.said
    assert "actorq: the embedded broker ended: killed by signal 9" in running.said
    assert not running.living()


async def test_a_process_that_is_told_to_end_is_replaced(crew: Start) -> None:
    """SIGTERM to one of them, by hand: an end in order, which does not count."""
    running = crew("--workers", "2", ACTORQ_SUPERVISOR__MAX_RESTARTS="0")
    first, second = await running.ready()
    first.terminate()

    def replaced() -> bool:
        now = running.children()
        return len(now) == 2 and first not in now and second in now

    await wait_until(replaced, timeout=10, description="another one is there")
    assert psutil.pid_exists(running.process.pid)
