"""Commands on workers, actors and queues: who is there, what waits, and orders. Exit codes, tables and documents."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from actorq import Worker
from actorq.cli.actors import drawn
from actorq.cli.output import span
from actorq.testing import wait_until
from tests.cli.operated import Place, always, answering, info

pytestmark = pytest.mark.anyio


# ---- who is there


@pytest.mark.broker
async def test_ping_shows_who_answers_and_how_fast(place: Place) -> None:
    line = await place.refused(1, "ping")
    assert line.startswith("actorq: no worker answered within 0.5 s: start one with `actorq worker")
    async with answering(place.system, w1={"ping": always(at=0)}, w2={"ping": always(at=0)}):
        rows = await place.document("ping")
        assert [row["worker"] for row in rows] == ["w1", "w2"]
        assert all(0 < row["ms"] < 500 for row in rows)
        assert [row["worker"] for row in await place.document("ping", "--worker", "w2")] == ["w2"]
        assert re.match(r"worker +ms\nw1 +[\d.]+\nw2 +[\d.]+\n\Z", (await place.run("ping")).stdout)


@pytest.mark.broker
async def test_workers_are_listed(place: Place) -> None:
    finished = await place.run("workers")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert await place.document("workers") == []
    now = place.system.client.transport.now()
    reply = info({}, backend="trio", version="1.0", started=now - 3_700, queues=["a", "b"])
    async with answering(place.system, w1={"info": reply}):
        (row,) = await place.document("workers")
        assert 3_600 < row.pop("uptime") < 3_800
        assert row == {
            "name": "w1", "host": "h", "pid": 7, "backend": "trio", "version": "1.0", "running": 1,
            "queues": ["a", "b"],
        }  # fmt: skip
        header, line = (await place.run("workers")).stdout.splitlines()
        assert header.split() == ["name", "host", "pid", "backend", "version", "uptime", "running", "queues"]
        assert line.split() == ["w1", "h", "7", "trio", "1.0", "1h1m", "1", "a,", "b"]


@pytest.mark.broker
async def test_a_real_worker_answers(place: Place) -> None:
    @place.system.actor(queue="media", concurrency=3)
    async def thumbnail(path: str) -> str:
        return path

    async with Worker(place.system) as worker:
        assert [row["worker"] for row in await place.document("ping")] == [worker.name]
        (row,) = await place.document("workers")
        assert (row["name"], row["pid"], row["queues"]) == (worker.name, os.getpid(), ["media"])
        (row,) = await place.document("actor", "ls")
        assert (row["name"], row["queue"], row["workers"], row["concurrency"]) == ("thumbnail", "media", 1, 3)
        (row,) = await place.document("queue", "ls")
        assert (row["actor"], row["workers"], row["note"]) == ("thumbnail", 1, None)
        ((drawn_worker, *tree),) = [(await place.run("actor", "tree")).stdout.splitlines()]
        assert drawn_worker == f"worker {worker.name}"
        assert re.search(r"└── thumbnail  running  up \d+s", tree[-1])
        assert "limited to 5/s in 1 of 1 worker" in (await place.run("actor", "rate", "thumbnail", "5/s")).stdout
        assert (await place.document("actor", "ls"))[0]["rate"] == "5/s"
        assert "restarts in 1 of 1 worker" in (await place.run("actor", "restart", "root/thumbnail")).stdout


# ---- actors


@pytest.mark.broker
async def test_actors_are_added_up_over_workers_and_the_register(place: Place) -> None:
    await place.system.send("served", 1)
    await place.system.ref("lonely").options(queue="media").send(1)
    state = {"queue": "default", "concurrency": 4, "running": 1, "rate": None, "state": "running"}
    one = info({"served": state, "silent": state})
    two = info({"served": {**state, "running": 2, "rate": "5/s"}})
    async with answering(place.system, w1={"info": one}, w2={"info": two}):
        lonely, served, silent = await place.document("actor", "ls")
    assert lonely == {
        "name": "lonely", "queue": "media", "workers": 0, "concurrency": 0, "running": 0, "waiting": 1, "rate": None,
        "state": "nobody serves it",
    }  # fmt: skip
    assert served == {
        "name": "served", "queue": "default", "workers": 2, "concurrency": 8, "running": 3, "waiting": 1, "rate": "5/s",
        "state": "running",
    }  # fmt: skip
    assert (silent["name"], silent["waiting"]) == ("silent", 0)


def test_a_tree_is_drawn_with_what_is_known() -> None:
    ledger = {
        "name": "ledger",
        "state": "running",
        "uptime": 61.0,
        "restarts": 0,
        "running": 2,
        "held": 3,
        "rate": "5/s",
    }
    charge = {"name": "charge", "state": "backoff", "uptime": None, "restarts": 1, "error": "PoolBroken:\n gone"}
    billing = {
        "name": "billing", "strategy": "rest_for_one", "state": "running", "uptime": 3.0, "restarts": 2,
        "children": [{**ledger, "rate": "5/s"}, charge],
    }  # fmt: skip
    mail = {"name": "mail", "state": "running", "uptime": 90_000.0, "running": 0}
    root = {"name": "root", "strategy": "one_for_one", "state": "running", "uptime": 3.0, "children": [billing, mail]}
    assert list(drawn("w1", root)) == [
        "worker w1",
        "└── root  one_for_one  running  up 3s",
        "    ├── billing  rest_for_one  running  up 3s  2 restarts",
        "    │   ├── ledger  running  up 1m1s  2 running of 3 held  at 5/s",
        "    │   └── charge  backoff  1 restart  last error: PoolBroken: gone",
        "    └── mail  running  up 1d1h  0 running",
    ]


def test_spans_have_two_units() -> None:
    assert [span(seconds) for seconds in (None, 0.4, 59, 60, 3_599, 3_600, 90_061)] == [
        "-", "0s", "59s", "1m0s", "59m59s", "1h0m", "1d1h",
    ]  # fmt: skip


@pytest.mark.broker
async def test_the_tree_of_every_worker_is_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    root: dict[str, Any] = {"name": "root", "kind": "supervisor", "state": "running", "children": []}
    async with answering(place.system, w1={"tree": always(tree=root)}, w2={"tree": always(tree=root)}):
        assert await place.document("actor", "tree", "--worker", "w2") == [{"worker": "w2", "tree": root}]
        lines = (await place.run("actor", "tree")).stdout.splitlines()
        assert lines == ["worker w1", "└── root  running", "worker w2", "└── root  running"]
    assert await place.document("actor", "tree") == []
    monkeypatch.setattr("actorq.cli.operate.PATIENCE", 0.2)
    assert "worker 'w2' does not answer" in await place.refused(1, "actor", "tree", "--worker", "w2")


@pytest.mark.broker
async def test_restarting_tells_who_did(place: Place) -> None:
    asked: list[Mapping[str, Any]] = []

    def restart(question: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(question)
        return {"ok": True, "error": None}

    lacking = {"restart": always(ok=False, error="there is no root/billing/charge here")}
    async with answering(place.system, w1={"restart": restart}, w2=lacking):
        finished = await place.run("actor", "restart", "root/billing/charge")
        assert finished.stdout == "root/billing/charge restarts in 1 of 2 workers\n"
        assert "w2: there is no root/billing/charge here" in finished.stderr
        assert asked == [{"path": "root/billing/charge"}]
        line = await place.refused(1, "actor", "restart", "charge", "--worker", "w2")
        assert line == "actorq: there is no root/billing/charge here\n"
        rows = await place.document("actor", "restart", "charge")
        assert [(row["worker"], row["ok"]) for row in rows] == [("w1", True), ("w2", False)]
    assert "start one with `actorq worker" in await place.refused(1, "actor", "restart", "charge")


@pytest.mark.broker
async def test_a_rate_is_set_or_taken_away_where_workers_have_the_actor(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Mapping[str, Any]] = []

    def rate(question: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(question)
        return {"ok": True, "error": None}

    async with answering(place.system, w1={"rate": rate}, w2={"rate": rate}):
        assert (
            "charge is limited to 5/10s in 2 of 2 workers"
            in (await place.run("actor", "rate", "charge", "5/10s", "--burst", "2")).stdout
        )
        assert (
            "charge has no rate limit in 1 of 1 worker"
            in (await place.run("actor", "rate", "charge", "none", "--worker", "w2")).stdout
        )
    assert asked[0] == {"actor": "charge", "rate": "5/10s", "burst": 2}
    assert asked[-1] == {"actor": "charge", "rate": None, "burst": None}
    assert len(asked) == 3
    assert "no worker that runs now has actor 'charge'" in await place.refused(1, "actor", "rate", "charge", "5/s")
    monkeypatch.setattr("actorq.cli.operate.PATIENCE", 0.2)
    line = await place.refused(1, "actor", "rate", "charge", "5/s", "--worker", "w2")
    assert "no worker 'w2' that runs now has actor 'charge': see `actorq actor ls` and `actorq workers`" in line


# ---- queues


@pytest.mark.broker
async def test_queues_show_what_waits_and_who_serves(place: Place) -> None:
    assert await place.document("queue", "ls") == []
    await place.system.ref("lonely").options(queue="media").send(1)
    await place.system.ref("served").options(delay="1h").send(1)
    async with answering(place.system, w1={"info": info({"served": {}, "lonely": {}})}):
        assert (await place.document("queue", "pause", "media"))["changed"]
        served, lonely = await place.document("queue", "ls")
        table = (await place.run("queue", "ls")).stdout
    assert served == {
        "queue": "default", "lane": 0, "actor": "served", "waiting": 0, "held": 0, "scheduled": 1, "workers": 1,
        "paused": False, "note": None,
    }  # fmt: skip
    assert lonely == {
        "queue": "media", "lane": 0, "actor": "lonely", "waiting": 1, "held": 0, "scheduled": 0, "workers": 0,
        "paused": True, "note": "nobody serves it",
    }  # fmt: skip
    assert re.search(r"^media +0 +lonely +1 +0 +0 +0 +yes +nobody serves it$", table, re.MULTILINE)


@pytest.mark.broker
async def test_a_queue_is_paused_and_goes_on(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    register = place.system.client.register
    await place.system.send("note", 1)
    assert (await place.run("queue", "pause", "default")).stdout == "queue default is paused\n"
    assert await register.paused() == await register.paused("default") == {"default"}
    assert await register.paused("media") == set()
    assert [entry.mailbox.actor for entry in await register.entries()] == ["note"]
    assert await place.document("queue", "pause", "default") == {"queue": "default", "paused": True, "changed": False}
    assert await place.document("queue", "resume", "default") == {"queue": "default", "paused": False, "changed": True}
    assert await register.paused() == set()
    finished = await place.run("queue", "resume", "defualt")
    assert (finished.returncode, finished.stdout) == (0, "queue defualt was running\n")
    assert "no mailbox is registered in queue 'defualt'" in finished.stderr


@pytest.mark.broker
async def test_whoever_waits_is_told_of_the_pause(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorq.client.NOTICE_AFTER", 0.1)
    await place.system.client.register.pause("media", paused=True)
    handle = await place.system.ref("note").options(queue="media").send(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handle.result)
        await wait_until(lambda: "queue 'media' is paused" in caplog.text, description="the notice")
        tasks.cancel_scope.cancel()
    assert f"task {handle.id} of actor 'note' is queued: queue 'media' is paused" in caplog.text
    assert "`actorq queue resume media`" in caplog.text


@pytest.mark.broker
async def test_purging_cancels_what_waits_and_nothing_else(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorq.cli.queues.PAGE", 2)
    waiting = [await place.system.send("note", n) for n in range(3)]
    running = await place.system.send("note", 3)
    later = await place.system.ref("note").options(delay="1h").send(4)
    other = await place.system.ref("note").options(queue="media").send(5)
    runs = {"id": running.id, "actor": "note", "queue": "default", "attempt": 1, "started": 1.0}
    async with answering(place.system, w1={"tasks": always(running=[runs])}):
        line = await place.refused(2, "queue", "purge", "default")
        assert line.startswith("actorq: cancel every task that waits in queue default? add --yes to do it, or")
        rows = await place.document("queue", "purge", "default", "--dry-run")
        assert rows == [{"id": handle.id, "actor": "note", "cancelled": False} for handle in waiting]
        assert [await handle.status() for handle in waiting] == ["queued"] * 3
        assert (await place.run("queue", "purge", "default", "--yes")).stdout == "3 tasks of queue default cancelled\n"
    assert [await handle.status() for handle in waiting] == ["cancelled"] * 3
    assert [await handle.status() for handle in (running, later, other)] == ["queued", "scheduled", "queued"]
    finished = await place.run("queue", "purge", "defualt", "-y")
    assert "no mailbox is registered in queue 'defualt': check the name" in finished.stderr
    rows = await place.document("queue", "purge", "media", "-y")
    assert rows == [{"id": other.id, "actor": "note", "cancelled": True}]
