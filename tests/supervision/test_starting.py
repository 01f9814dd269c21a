"""Boot (G-2) and stop (G-9), and what passes through a supervisor (G-10)."""

from __future__ import annotations

import logging

import anyio
import pytest

from actorq.errors import UsageError
from actorq.runtime.supervise import Child, Seat, Supervisor
from actorq.testing import wait_until
from tests.supervision.stage import Stage

pytestmark = pytest.mark.anyio


async def test_children_start_in_order_and_stop_in_reverse(stage: Stage) -> None:
    """G-2, G-9: each is ready before the next starts, however long that takes; the last started stops first."""
    a, b, c = stage.actor("a", slow=3.0), stage.actor("b", slow=0.5), stage.actor("c")
    async with stage.running(stage.supervisor(a, b, c)):
        await stage.until("+a", "+b", "+c")
        assert [actor.ups[0] - a.ups[0] for actor in (a, b, c)] == pytest.approx([0.0, 0.5, 0.5])
        assert [seat.path for actor in (a, b, c) for seat in actor.seats] == ["root/a", "root/b", "root/c"]
    await stage.until("-c", "-b", "-a")
    assert stage.error is None


async def test_a_failure_at_boot_ends_the_boot(stage: Stage) -> None:
    """G-2: who has started is torn down in reverse; the error names the path and has the child's own as its cause."""
    boom = ValueError("no such\ntable")
    a, b, c, d = stage.actor("a"), stage.actor("b"), stage.actor("c", setups=(boom,)), stage.actor("d")
    async with stage.running(stage.supervisor(a, b, c, d)) as seat:
        await stage.ended()
    assert stage.diary == ["+a", "+b", "!c", "-b", "-a"]
    assert stage.error is not None
    assert stage.error.path == "root/c"
    assert str(stage.error) == "root/c (ValueError: no such table) could not be started: correct it and start again"
    assert stage.error.__cause__ is boom
    assert not seat.up


async def test_a_failure_at_boot_below_names_the_deepest_path(stage: Stage) -> None:
    """G-2: a nested supervisor fails its own boot; what comes out at the root names the child that failed."""
    charge = stage.actor("charge", setups=(OSError("no database"),))
    billing = stage.supervisor(stage.actor("ledger"), charge, name="billing")
    async with stage.running(stage.supervisor(stage.actor("a"), billing)):
        await stage.ended()
    assert stage.diary == ["+a", "+ledger", "!charge", "-ledger", "-a"]
    assert stage.error is not None
    assert stage.error.path == "root/billing/charge"


async def test_to_end_before_having_started_is_a_failure(stage: Stage) -> None:
    """G-2: a child that returns without saying that it is ready has not started."""

    async def returns(seat: Seat) -> None:
        return

    supervisor = Supervisor(stage.supervisor().spec, [Child(stage.actor("a").child.spec, returns)])
    async with stage.running(supervisor):
        await stage.ended()
    assert "root/a ended before it had started" in str(stage.error)


async def test_an_early_child_that_fails_during_boot_is_restarted(stage: Stage) -> None:
    """G-2: only a first start fails the boot; who was up and fails meanwhile is restarted, and the boot goes on."""
    a, b = stage.actor("a"), stage.actor("b", slow=2.0)
    async with anyio.create_task_group() as tasks:
        seat = Seat()
        tasks.start_soon(stage.run, stage.supervisor(a, b), seat)
        await stage.until("+a")
        a.fail()
        await stage.until("-a", "+a", "+b")
        await wait_until(lambda: seat.up)
        seat.stopping.set()


async def test_stop_is_served_during_boot(stage: Stage) -> None:
    """G-9: who has not started is not started any more; a start that takes too long is cancelled in its time."""
    a, b, c = stage.actor("a"), stage.actor("b", slow=1_000.0, stop_timeout=0.2), stage.actor("c")
    seat = Seat()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.run, stage.supervisor(a, b, c), seat)
        await wait_until(lambda: b.seats)
        seat.stopping.set()
        await stage.ended(within=0.5)
    assert stage.diary == ["+a", "-a"]
    assert stage.error is None


async def test_a_deaf_child_is_cancelled_after_its_stop_timeout(stage: Stage) -> None:
    """G-9: ask, wait stop_timeout, cancel; the siblings before it wait for that, and are asked then."""
    a, b = stage.actor("a"), stage.actor("b", deaf=True, stop_timeout=3.0)
    async with stage.running(stage.supervisor(a, b)) as seat:
        await stage.until("+a", "+b")
        seat.stopping.set()
        asked = anyio.current_time()
        await wait_until(b.seats[0].stopping.is_set)
        assert not a.seats[0].stopping.is_set()
        await stage.until("-b", "-a")
        assert anyio.current_time() - asked == pytest.approx(3.0, abs=0.05)


async def test_cleanup_after_cancellation_is_bounded(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """G-9: 5 s after a child was cancelled its siblings are stopped all the same, and the log names it."""
    a, b = stage.actor("a"), stage.actor("b", deaf=True, stop_timeout=1.0, clings=60.0)
    async with stage.running(stage.supervisor(a, b)) as seat:
        await stage.until("+a", "+b")
        seat.stopping.set()
        asked = anyio.current_time()
        await stage.until("-a")
        assert anyio.current_time() - asked == pytest.approx(6.0, abs=0.05)
        await stage.until("-b", within=100.0)
        assert anyio.current_time() - asked == pytest.approx(61.0, abs=0.05)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message.startswith("root/b has not ended 5 s after it was cancelled and is waited for no more")


async def test_what_fails_while_it_is_stopped_is_reported(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """G-9: it counts as stopped, not as failed."""

    async def clumsy(seat: Seat) -> None:
        seat.started()
        await seat.stopping.wait()
        raise OSError("disk full")

    async with stage.running(Supervisor(stage.supervisor().spec, [Child(stage.actor("a").child.spec, clumsy)])):
        pass
    assert stage.error is None
    assert caplog.messages == ["root/a failed while it was stopped (OSError: disk full)"]


async def test_cancelling_a_supervisor_cancels_its_children(stage: Stage) -> None:
    """G-10: a supervisor whose own scope is cancelled leaves no child behind, and does not wait for the deaf."""
    below = stage.supervisor(stage.actor("c", deaf=True), name="below")
    supervisor = stage.supervisor(stage.actor("a"), stage.actor("b", deaf=True, clings=1.0), below)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.run, supervisor, Seat())
        await stage.until("+a", "+b", "+c")
        tasks.cancel_scope.cancel()
    assert sorted(stage.diary) == ["-a", "-b", "-c"]
    assert anyio.current_time() - began == pytest.approx(1.0, abs=0.1)
    assert supervisor.tree()["state"] == "stopped"


class Interrupt(BaseException):
    """As a KeyboardInterrupt, which asyncio raises from its loop at once."""


async def test_what_is_no_exception_passes_through(stage: Stage) -> None:
    """G-10: a BaseException is not a failure of the child: it comes out as it is, and ends all on its way."""
    a, b = stage.actor("a"), stage.actor("b")
    supervisor = stage.supervisor(a, stage.supervisor(b, name="below"))
    seat = Seat()

    async def run() -> None:
        with pytest.raises(Interrupt):
            await supervisor.run(seat)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await stage.until("+a", "+b")
        b.fail(Interrupt())
    assert stage.diary == ["-b", "-a"]


def test_two_children_of_one_name_are_refused(stage: Stage) -> None:
    """G-1: names form paths, so they differ."""
    with pytest.raises(UsageError, match="two children of one name"):
        stage.supervisor(stage.actor("a"), stage.actor("a"))
