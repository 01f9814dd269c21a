"""Who is restarted, when, and when that is given up (G-3 to G-6, G-8, G-10)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import anyio
import pytest

from actorq.errors import InternalError, RestartIntensityExceeded
from actorq.model.supervision import Backoff
from actorq.runtime.supervise import Child, Seat, Supervisor
from actorq.testing import virtual_time, wait_until
from tests.supervision.stage import Stage

pytestmark = pytest.mark.anyio

BOOM = ValueError("boom")
LONG = Backoff(initial=30.0, max=30.0, jitter=0.0)


@pytest.mark.parametrize(
    ("strategy", "diary"),
    [
        ("one_for_one", ["-b", "+b"]),
        ("rest_for_one", ["-b", "-d", "-c", "+b", "+c", "+d"]),
        ("one_for_all", ["-b", "-d", "-c", "-a", "+a", "+b", "+c", "+d"]),
    ],
)
async def test_strategies(stage: Stage, strategy: str, diary: list[str]) -> None:
    """G-3: a strategy says whom a failure takes along; they stop in reverse order and start in order."""
    a, b, c, d = (stage.actor(name) for name in "abcd")
    async with stage.running(stage.supervisor(a, b, c, d, strategy=strategy)):
        await stage.until("+a", "+b", "+c", "+d")
        b.fail()
        await stage.until(*diary)


@pytest.mark.parametrize(
    ("restart", "fails", "again"),
    [
        ("permanent", True, True), ("permanent", False, True),
        ("transient", True, True), ("transient", False, False),
        ("temporary", True, False), ("temporary", False, False),
    ],
)  # fmt: skip
async def test_restart_types(stage: Stage, restart: str, fails: bool, again: bool) -> None:
    """G-3: permanent is restarted always, transient after a failure, temporary never."""
    a = stage.actor("a", restart=restart)
    supervisor = stage.supervisor(a)
    async with stage.running(supervisor):
        await stage.until("+a")
        a.fail() if fails else a.end()
        await stage.until("-a", *["+a"] * again)
        await anyio.sleep(100.0)
        assert stage.diary == []
        assert supervisor.tree()["children"][0]["state"] == ("running" if again else "stopped")


async def test_temporary_bystanders_stay_stopped(stage: Stage) -> None:
    """G-3: a temporary child is not restarted when a sibling takes it along; nor is a transient one that had ended."""
    a, b, c = stage.actor("a"), stage.actor("b", restart="temporary"), stage.actor("c", restart="transient")
    async with stage.running(stage.supervisor(a, b, c, stage.actor("d", restart="transient"), strategy="one_for_all")):
        await stage.until("+a", "+b", "+c", "+d")
        c.end()
        await stage.until("-c")
        a.fail()
        await stage.until("-a", "-d", "-b", "+a", "+d")


async def test_giving_up(stage: Stage) -> None:
    """G-4: with the fourth failure in 5 s, of any children; the rest stops in reverse, and the error tells all."""
    a, b, c = stage.actor("a"), stage.actor("b"), stage.actor("c")
    async with stage.running(stage.supervisor(a, b, c)):
        await stage.until("+a", "+b", "+c")
        for failing in (a, b, a):
            failing.fail(OSError("not the last"))
            await stage.until(f"-{failing.name}", f"+{failing.name}")
        b.fail(BOOM)
        await stage.ended()
    assert stage.diary == ["-b", "-c", "-a"]
    assert isinstance(stage.error, RestartIntensityExceeded)
    assert stage.error.path == "root"
    assert stage.error.__cause__ is BOOM
    assert str(stage.error) == (
        "root gave up: 4 failures within 5 s, more than max_restarts = 3; the last: root/b (ValueError: boom): "
        "correct it, or allow more with max_restarts and within"
    )


async def test_the_window_slides(stage: Stage) -> None:
    """G-4: restarts longer ago than ``within`` do not count: one each 2 s never are four in 5 s."""
    a = stage.actor("a")
    async with stage.running(stage.supervisor(a, backoff=Backoff(initial=0.0, max=0.0))):
        await stage.until("+a")
        for _ in range(50):
            await anyio.sleep(2.0)
            a.fail()
            await stage.until("-a", "+a")
    assert stage.error is None


async def test_no_restarts_allowed(stage: Stage) -> None:
    """G-4: with max_restarts = 0 the first failure is given up on."""
    a = stage.actor("a")
    async with stage.running(stage.supervisor(a, max_restarts=0)):
        await stage.until("+a")
        a.fail()
        await stage.ended()
    assert stage.diary == ["-a"]
    assert "root gave up: 1 failure within 5 s" in str(stage.error)


async def test_failed_starts_are_retried_and_count(stage: Stage) -> None:
    """G-4, G-6: setup fails three times during a restart, then works: each with its own, longer wait."""
    a = stage.actor("a", setups=(None, BOOM, BOOM, BOOM))
    async with stage.running(stage.supervisor(a, max_restarts=4)):
        await stage.until("+a")
        began = anyio.current_time()
        a.fail()
        await stage.until("-a", "!a", "!a", "!a", "+a")
        assert a.ups[1] - began == pytest.approx(0.1 + 0.2 + 0.4 + 0.8, abs=0.05)


async def test_a_start_that_fails_for_ever_is_given_up(stage: Stage) -> None:
    """G-4: every attempt counts, so the fourth failed start ends it."""
    a = stage.actor("a", setups=(None, *[BOOM] * 100))
    async with stage.running(stage.supervisor(stage.actor("b"), a)):
        await stage.until("+b", "+a")
        a.fail()
        await stage.ended()
    assert stage.diary == ["-a", "!a", "!a", "!a", "-b"]
    assert isinstance(stage.error, RestartIntensityExceeded)


@pytest.mark.parametrize(
    ("strategy", "retried"),
    [("rest_for_one", ["+b", "+c"]), ("one_for_all", ["-a", "+a", "+b", "+c"])],
)
async def test_a_retried_start(stage: Stage, strategy: str, retried: list[str]) -> None:
    """G-5: under rest_for_one it resumes at the child that failed, under one_for_all all start again."""
    a, b, c = stage.actor("a"), stage.actor("b", setups=(None, BOOM)), stage.actor("c")
    async with stage.running(stage.supervisor(a, b, c, strategy=strategy)):
        await stage.until("+a", "+b", "+c")
        a.fail()
        await stage.until("-a", "-c", "-b", "+a", "!b", *retried)


async def test_backoff_grows_and_is_forgotten(stage: Stage) -> None:
    """G-6: 1, 2, 4, 4 s; and 1 s again when the child has stayed up (1 + 4) / 2 s."""
    a = stage.actor("a")
    backoff = Backoff(initial=1.0, factor=2.0, max=4.0, jitter=0.0)
    waits: list[float] = []
    async with stage.running(stage.supervisor(a, backoff=backoff, max_restarts=100)):
        await stage.until("+a")
        for stays in (0.0, 2.0, 2.0, 2.0, 2.6, 0.0):
            await anyio.sleep(stays)
            began = anyio.current_time()
            a.fail()
            await stage.until("-a", "+a")
            waits.append(a.ups[-1] - began)
    assert waits == pytest.approx([1.0, 2.0, 4.0, 4.0, 1.0, 2.0], abs=0.03)


async def test_a_child_knows_its_backoff_in_advance(stage: Stage) -> None:
    """G-6: what ``seat.backoff`` says, jitter included, is what the restart waits."""
    a = stage.actor("a")
    draws: Iterator[float] = itertools.cycle([0.0, 0.9, 0.3])
    supervisor = Supervisor(stage.supervisor(max_restarts=100).spec, [a.child], draw=lambda: next(draws))
    waits: list[float] = []
    async with stage.running(supervisor):
        await stage.until("+a")
        for _ in range(5):
            a.fail()
            await stage.until("-a")
            began = anyio.current_time()
            await stage.until("+a", within=100.0)
            waits.append(a.ups[-1] - began)
    assert a.backoffs == pytest.approx([0.08, 0.2 * 1.16, 0.4 * 0.92, 0.8 * 0.8, 1.6 * 1.16])
    assert waits == pytest.approx(a.backoffs, abs=0.03)


async def test_the_backoff_that_a_child_looked_up_stays(stage: Stage) -> None:
    """G-6: a child promised it to its messages; its cleanup, long enough for a reset, does not change it."""
    backoff = Backoff(initial=1.0, max=4.0, jitter=0.0)
    a = stage.actor("a", clings=3.0)
    async with stage.running(stage.supervisor(a, backoff=backoff)):
        await stage.until("+a")
        for _ in range(2):
            a.fail()
            await stage.until("-a", "+a")
        assert a.backoffs == [1.0, 2.0]
        assert a.ups[2] - a.ups[1] == pytest.approx(3.0 + 2.0, abs=0.05)


async def test_stop_is_served_while_a_child_backs_off(stage: Stage) -> None:
    """G-6: within 500 ms, though its restart is due in 30 s."""
    a, b = stage.actor("a"), stage.actor("b")
    supervisor = stage.supervisor(a, b, backoff=LONG)
    async with stage.running(supervisor) as seat:
        await stage.until("+a", "+b")
        b.fail()
        await wait_until(lambda: supervisor.tree()["children"][1]["state"] == "backoff")
        seat.stopping.set()
        await stage.ended(within=0.5)
    assert stage.diary == ["-b", "-a"]
    assert stage.error is None


async def test_one_child_does_not_hold_up_another(stage: Stage) -> None:
    """G-6: a child that starts slowly, or takes its time to stop, delays neither failures nor orders elsewhere."""
    slow, deaf, a = stage.actor("slow", restart="permanent"), stage.actor("deaf", deaf=True), stage.actor("a")
    supervisor = stage.supervisor(slow, deaf, a)
    async with stage.running(supervisor):
        await stage.until("+slow", "+deaf", "+a")
        slow.slow = 100.0
        slow.fail()
        supervisor.restart("deaf")
        await stage.until("-slow")
        began = anyio.current_time()
        a.fail()
        await stage.until("-a", "+a")
        assert anyio.current_time() - began < 0.5
        assert [node["state"] for node in supervisor.tree()["children"]] == ["starting", "stopping", "running"]


async def test_a_late_exit_is_ignored(stage: Stage) -> None:
    """G-10: an old incarnation that ends long after its successor has started is not taken for that one."""
    a = stage.actor("a", deaf=True, stop_timeout=1.0, clings=20.0)
    supervisor = stage.supervisor(a)
    async with stage.running(supervisor):
        await stage.until("+a")
        supervisor.restart("a")
        await stage.until("+a")
        await stage.until("-a", within=100.0)
        await anyio.sleep(50.0)
        assert stage.diary == []
        (node,) = supervisor.tree()["children"]
        assert (node["state"], node["restarts"]) == ("running", 1)


@pytest.mark.parametrize("anyio_backend", [virtual_time("asyncio")], ids=["asyncio"])
async def test_a_child_that_cancels_itself_has_failed(stage: Stage) -> None:
    """G-10: code that raises a cancellation which nobody asked for does not take the supervisor along."""
    a = stage.actor("a")
    async with stage.running(stage.supervisor(a)):
        await stage.until("+a")
        a.fail(asyncio.CancelledError())
        await stage.until("-a", "+a")


@pytest.mark.parametrize("anyio_backend", [virtual_time("asyncio")], ids=["asyncio"])
async def test_a_supervisor_cancelled_from_inside_does_not_end_in_silence(stage: Stage) -> None:
    """G-10: code that cancels every task of the loop that it finds ends the supervisor, but not as if all were done."""
    supervisor, seat = stage.supervisor(stage.actor("a")), Seat()

    async def run() -> None:
        with pytest.raises(InternalError, match="root was cancelled by none of its own"):
            await supervisor.run(seat)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await stage.until("+a")
        (own,) = (task for task in asyncio.all_tasks() if task.get_name() == "root stopping")
        own.cancel()


@pytest.mark.parametrize(("auto", "ended"), [("any", ["-b"]), ("all", ["-b", "-c"])])
async def test_significant_children_end_their_supervisor(stage: Stage, auto: str, ended: list[str]) -> None:
    """G-8: cleanly, in reverse order; with ``all`` when the last of them ends, with ``any`` at the first."""
    a = stage.actor("a")
    b, c = (stage.actor(name, restart="transient", significant=True) for name in "bc")
    async with stage.running(stage.supervisor(a, b, c, auto_shutdown=auto)):
        await stage.until("+a", "+b", "+c")
        for actor in (b, c)[: len(ended)]:
            actor.end()
            await wait_until(lambda actor=actor: f"-{actor.name}" in stage.diary)  # type: ignore[misc]
        await stage.ended()
    assert stage.diary == ["-b", "-c", "-a"]
    assert stage.error is None


async def test_what_is_restarted_is_not_an_end(stage: Stage) -> None:
    """G-8: a significant child that fails and is restarted has not ended."""
    a = stage.actor("a", restart="transient", significant=True)
    async with stage.running(stage.supervisor(a, auto_shutdown="any")):
        await stage.until("+a")
        a.fail()
        await stage.until("-a", "+a")
        assert not stage.over


async def test_a_supervisor_that_gives_up_is_a_failed_child(stage: Stage) -> None:
    """G-4: its parent restarts it, with all below, by the parent's own count; then gives up in turn."""
    billing = stage.supervisor(stage.actor("ledger"), charge := stage.actor("charge"), name="billing", max_restarts=1)
    root = stage.supervisor(stage.actor("a"), billing, max_restarts=1, within=60.0)
    async with stage.running(root):
        await stage.until("+a", "+ledger", "+charge")
        charge.fail()
        await stage.until("-charge", "+charge")
        charge.fail()
        await stage.until("-charge", "-ledger", "+ledger", "+charge")
        assert root.tree()["children"][1]["restarts"] == 1
        charge.setups.append(BOOM)
        charge.fail()
        await stage.ended()
    assert stage.diary == ["-charge", "!charge", "-ledger", "-a"]
    assert str(stage.error) == (
        "root gave up: 2 failures within 60 s, more than max_restarts = 1; the last: "
        "root/billing gave up: 2 failures within 5 s, more than max_restarts = 1; the last: "
        "root/billing/charge (ValueError: boom): correct it, or allow more with max_restarts and within"
    )
    assert stage.error is not None
    assert stage.error.__cause__ is not None
    assert stage.error.__cause__.__cause__ is BOOM


async def test_a_supervisor_that_ends_cleanly_is_restarted_if_permanent(stage: Stage) -> None:
    """G-8: its end is a normal one for its parent."""
    job = stage.actor("job", restart="temporary", significant=True)
    batch = stage.supervisor(job, name="batch", auto_shutdown="any")
    async with stage.running(stage.supervisor(batch)):
        await stage.until("+job")
        job.end()
        await stage.until("-job", "+job")


async def test_many_fail_at_once(stage: Stage) -> None:
    """G-6: that is as good as one after the other."""
    actors = [stage.actor(f"a{number}") for number in range(200)]
    async with stage.running(stage.supervisor(*actors, max_restarts=200)):
        stage.diary.clear()
        for actor in actors:
            actor.fail()
        await wait_until(lambda: len(stage.diary) == 400)
        assert sorted(stage.diary[200:]) == sorted(f"+{actor.name}" for actor in actors)


async def test_children_are_plain_functions(stage: Stage) -> None:
    """G-10: all that a child needs is a function of its seat."""
    seen: list[str] = []

    async def child(seat: Seat) -> None:
        seen.append(seat.path)
        seat.started()
        await seat.stopping.wait()

    async with stage.running(Supervisor(stage.supervisor().spec, [Child(stage.actor("a").child.spec, child)])):
        pass
    assert seen == ["root/a"]
