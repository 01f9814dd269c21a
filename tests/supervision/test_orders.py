"""Orders to a supervisor while it runs, what it shows of itself and what it logs."""

from __future__ import annotations

import dataclasses
import logging

import anyio
import pytest

from actorq.errors import SupervisionError, UsageError
from actorq.model.supervision import Backoff
from actorq.runtime.supervise import nested
from actorq.testing import wait_until
from tests.supervision.stage import Stage

pytestmark = pytest.mark.anyio

BOOM = ValueError("boom")
LONG = Backoff(initial=30.0, max=30.0, jitter=0.0)


@pytest.mark.parametrize("path", ["charge", "root/billing/charge"])
async def test_restart_by_order(stage: Stage, path: str) -> None:
    """G-4: one child, found by name or path, whatever the strategy; orders do not count as restarts."""
    billing = stage.supervisor(stage.actor("ledger"), stage.actor("charge"), name="billing", strategy="one_for_all")
    root = stage.supervisor(billing)
    async with stage.running(root):
        await stage.until("+ledger", "+charge")
        for _ in range(10):
            root.restart(path)
            await stage.until("-charge", "+charge")
    assert stage.error is None


async def test_restart_by_order_ends_a_backoff(stage: Stage) -> None:
    """G-6: orders are served while a child backs off: it starts now."""
    a = stage.actor("a")
    supervisor = stage.supervisor(a, backoff=LONG)
    async with stage.running(supervisor):
        await stage.until("+a")
        a.fail()
        await stage.until("-a")
        await wait_until(lambda: supervisor.tree()["children"][0]["state"] == "backoff")
        supervisor.restart("root/a")
        await stage.until("+a", within=0.5)


async def test_an_ended_child_can_be_restarted(stage: Stage) -> None:
    """G-3: what stays ended is started again by order only."""
    a = stage.actor("a", restart="temporary")
    supervisor = stage.supervisor(a)
    async with stage.running(supervisor):
        await stage.until("+a")
        a.end()
        await stage.until("-a")
        supervisor.restart("a")
        await stage.until("+a")


async def test_add_and_remove(stage: Stage) -> None:
    """G-9: a child added starts after the others; one removed is stopped, then forgotten."""
    a, b, c = stage.actor("a"), stage.actor("b"), stage.actor("c")
    supervisor = stage.supervisor(a, b)
    async with stage.running(supervisor):
        await stage.until("+a", "+b")
        supervisor.add(c.child)
        with pytest.raises(UsageError, match="has a child 'c'"):
            supervisor.add(c.child)
        await stage.until("+c")
        await supervisor.remove("a")
        await stage.until("-a")
        assert [node["name"] for node in supervisor.tree()["children"]] == ["b", "c"]
        with pytest.raises(UsageError, match="no child 'a' below root: known are root/b, root/c"):
            await supervisor.remove("a")
        supervisor.add(a.child)
        await stage.until("+a")
    await stage.until("-a", "-c", "-b")


async def test_an_added_child_that_cannot_start_is_left_out(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """G-2: that is no reason to restart or end anybody."""
    supervisor = stage.supervisor(stage.actor("a"), max_restarts=0)
    async with stage.running(supervisor):
        await stage.until("+a")
        supervisor.add(stage.actor("b", setups=(BOOM,)).child)
        await stage.until("!b")
        await wait_until(lambda: list(supervisor.children) == ["a"])
        supervisor.add(stage.actor("b").child)
        await stage.until("+b")
    assert stage.error is None
    assert caplog.messages == [
        "root/b could not be started (ValueError: boom): it is left out; correct it and add it again"
    ]


async def test_a_child_is_revised(stage: Stage) -> None:
    """G-3: it goes on, and its end is judged by what its supervisor thinks of it by then."""
    actor = stage.actor("a")
    supervisor = stage.supervisor(actor, stage.actor("b"), max_restarts=0)
    async with stage.running(supervisor):
        await stage.until("+a", "+b")
        supervisor.revise(dataclasses.replace(actor.child.spec, restart="temporary"))
        actor.fail()
        await stage.until("-a")
        assert len(actor.seats) == 1
        with pytest.raises(UsageError):
            supervisor.revise(stage.actor("c").child.spec)
    assert stage.error is None


async def test_a_new_spec_applies_from_now_on(stage: Stage) -> None:
    """G-3, G-4: strategy and limits can be changed while the children run."""
    a, b = stage.actor("a"), stage.actor("b")
    supervisor = stage.supervisor(a, b)
    async with stage.running(supervisor):
        await stage.until("+a", "+b")
        supervisor.configure(dataclasses.replace(supervisor.spec, strategy="one_for_all", max_restarts=1))
        b.fail()
        await stage.until("-b", "-a", "+a", "+b")
        b.fail()
        await stage.ended()
    assert "more than max_restarts = 1" in str(stage.error)


async def test_orders_to_what_does_not_run(stage: Stage) -> None:
    """A supervisor that is not running takes what it is to have next time, and refuses to restart anything."""
    a, b = stage.actor("a"), stage.actor("b")
    supervisor = stage.supervisor(a)
    with pytest.raises(SupervisionError, match="root/a cannot be restarted now"):
        supervisor.restart("root/a")
    supervisor.add(b.child)
    with pytest.raises(UsageError):
        supervisor.add(b.child)
    await supervisor.remove("a")
    async with stage.running(supervisor):
        await stage.until("+b")


async def test_paths(stage: Stage) -> None:
    """G-1: names form paths; a name that is in two places has to be given with its path."""
    left, right = (stage.supervisor(stage.actor("a"), stage.actor(f"{name}1"), name=name) for name in ("left", "right"))
    root = stage.supervisor(left, right)
    assert root.find("right1") == (right, "right1")
    assert root.find("root/left/a") == (left, "a")
    assert root.find("left") == (root, "left")
    with pytest.raises(UsageError, match="'a' is ambiguous: give one of root/left/a, root/right/a"):
        root.find("a")
    with pytest.raises(UsageError, match="no child 'root/a' below root: known are root/left, root/left/a"):
        root.find("root/a")


async def test_a_nested_supervisor_has_time_to_stop_its_children(stage: Stage) -> None:
    """G-9: its own stop_timeout is never shorter than what its children may take one after the other."""
    deaf = [stage.actor(name, deaf=True, stop_timeout=4.0) for name in "bc"]
    below = stage.supervisor(*deaf, name="below")
    assert nested(below).longest_stop == 18.0
    async with stage.running(stage.supervisor(stage.actor("a"), below)) as seat:
        await stage.until("+a", "+b", "+c")
        seat.stopping.set()
        asked = anyio.current_time()
        await stage.until("-c", "-b", "-a")
        assert anyio.current_time() - asked == pytest.approx(8.0, abs=0.05)


async def test_the_tree_as_values(stage: Stage) -> None:
    """G-1: every node has path, kind, state, restarts, uptime and last error, with what is below."""
    charge = stage.actor("charge")
    billing = stage.supervisor(charge, stage.actor("invoice", restart="temporary"), name="billing", backoff=LONG)
    root = stage.supervisor(stage.actor("a"), billing, strategy="rest_for_one")
    states = [node["state"] for node in root.tree()["children"]]
    assert (root.tree()["state"], states) == ("stopped", ["stopped", "stopped"])
    async with stage.running(root):
        await anyio.sleep(10.0)
        charge.fail(OSError("first line\nsecond line"))
        await wait_until(lambda: billing.tree()["children"][0]["state"] == "backoff")
        tree = root.tree()
    below = tree["children"][1].pop("children")
    assert [tree.pop("uptime"), tree["children"][0].pop("uptime"), tree["children"][1].pop("uptime")] == pytest.approx(
        [10.0] * 3, abs=0.1
    )
    known = {"kind": "actor", "restarts": 0, "error": None, "state": "running"}
    assert tree == {
        "name": "root", "path": "root", "strategy": "rest_for_one", **known, "kind": "supervisor",
        "children": [
            {"name": "a", "path": "root/a", **known},
            {"name": "billing", "path": "root/billing", "strategy": "one_for_one", **known, "kind": "supervisor"},
        ],
    }  # fmt: skip
    assert below[0] == {
        "name": "charge", "path": "root/billing/charge", "kind": "actor", "restarts": 0, "state": "backoff",
        "uptime": None, "error": "OSError: first line second line",
    }  # fmt: skip
    assert (root.tree()["state"], billing.tree()["state"]) == ("stopped", "stopped")


async def test_what_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """G-4, G-6: every restart with its count and its wait, every return, and what is given up."""
    caplog.set_level(logging.INFO, "actorq.supervisor")
    a, b = stage.actor("a"), stage.actor("b", restart="temporary")
    async with stage.running(stage.supervisor(a, b, max_restarts=2)):
        await stage.until("+a", "+b")
        a.fail()
        await stage.until("-a", "+a")
        a.end()
        await stage.until("-a", "+a")
        b.fail()
        await stage.until("-b")
        a.fail()
        await stage.ended()
    assert [(record.levelname, record.message.split(";")[0]) for record in caplog.records] == [
        ("WARNING", "root/a failed (ValueError: boom): restart 1 of 2 within 5 s, in 0.1 s"),
        ("INFO", "root/a has started again"),
        ("WARNING", "root/a ended: restart 2 of 2 within 5 s, in 0.2 s"),
        ("INFO", "root/a has started again"),
        ("WARNING", "root/b failed (ValueError: boom): it is not restarted"),
        ("ERROR", "root gave up: 3 failures within 5 s, more than max_restarts = 2"),
    ]
    assert caplog.records[0].exc_info is not None
