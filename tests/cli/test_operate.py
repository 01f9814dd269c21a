"""Commands on a running system: who is there, what waits, and orders. Their exit codes, tables and documents."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.abc import TaskStatus

from actorq import ActorSystem, Context, Worker
from actorq.cli.actors import drawn
from actorq.cli.consent import consent
from actorq.cli.exits import Exit
from actorq.cli.main import main
from actorq.cli.output import span
from actorq.core.codec import pack, unpack_map
from actorq.model.message import Message
from actorq.testing import wait_until
from tests.cli.shell import one_line

pytestmark = pytest.mark.anyio
Reply = Callable[[Mapping[str, Any]], dict[str, Any]]
Finished: TypeAlias = subprocess.CompletedProcess[str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Place:
    """A system on a broker, and commands on it."""

    def __init__(self, system: ActorSystem, capsys: pytest.CaptureFixture[str]) -> None:
        self.system = system
        self._capsys = capsys
        self._out = self._err = ""

    async def run(self, *arguments: str) -> Finished:
        """As in a shell of its own; the process is this one, which is a second faster."""
        words = [*arguments, "--namespace", self.system.name, "-s", self.system.url]
        self._read()
        self._out = self._err = ""
        code = await anyio.to_thread.run_sync(main, words)
        self._read()
        return Finished(words, code, self._out, self._err)

    def _read(self) -> None:
        seen = self._capsys.readouterr()
        self._out, self._err = self._out + seen.out, self._err + seen.err

    def said(self, text: str) -> bool:
        """Whether the command that runs has said this on stderr."""
        self._read()
        return text in self._err

    async def document(self, *arguments: str) -> Any:
        finished = await self.run(*arguments, "--json")
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    async def refused(self, code: int, *arguments: str) -> str:
        return one_line(await self.run(*arguments), code)


@pytest.fixture
async def place(
    actorq_nats: str, actorq_name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Place]:
    monkeypatch.setattr("actorq.cli.operate.WINDOW", 0.15)
    async with (system := ActorSystem(actorq_name, transport=actorq_nats)):
        yield Place(system, capsys)


@asynccontextmanager
async def answering(system: ActorSystem, **workers: Mapping[str, Reply]) -> AsyncGenerator[None]:
    """Workers, by name, that do nothing but answer these verbs."""
    async with anyio.create_task_group() as tasks:
        for name, replies in workers.items():
            await tasks.start(_answer, system, name, replies)
        yield
        tasks.cancel_scope.cancel()


async def _answer(
    system: ActorSystem, name: str, replies: Mapping[str, Reply], *, task_status: TaskStatus[None]
) -> None:
    transport, (send, heard) = system.client.transport, anyio.create_memory_object_stream[Message](100)
    with send, heard, ExitStack() as stack:
        for whom in ("all", name):
            control = system.namespace.control("*", whom)
            stack.callback((await transport.subscribe(control, send.send_nowait, lambda: None)).close)
        task_status.started()
        async for message in heard:
            reply, question = replies.get(message.subject.rsplit(".", 1)[1]), unpack_map(message.body)
            if reply is not None and question is not None:
                await transport.notify(message.reply, pack({"worker": name, **reply(question)}))


def always(**answer: Any) -> Reply:
    return lambda _: answer


def info(actors: Mapping[str, Mapping[str, Any]], **more: Any) -> Reply:
    return always(**{"pid": 7, "host": "h", "queues": ["default"], "running": 1, "actors": actors, **more})


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
async def test_the_tree_of_every_worker_is_shown(place: Place) -> None:
    root: dict[str, Any] = {"name": "root", "kind": "supervisor", "state": "running", "children": []}
    async with answering(place.system, w1={"tree": always(tree=root)}, w2={"tree": always(tree=root)}):
        assert await place.document("actor", "tree", "--worker", "w2") == [{"worker": "w2", "tree": root}]
        lines = (await place.run("actor", "tree")).stdout.splitlines()
        assert lines == ["worker w1", "└── root  running", "worker w2", "└── root  running"]
    assert await place.document("actor", "tree") == []


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
async def test_a_rate_is_set_or_taken_away_where_workers_have_the_actor(place: Place) -> None:
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
    rows = await place.document("queue", "purge", "media", "-y")
    assert rows == [{"id": other.id, "actor": "note", "cancelled": True}]


# ---- tasks


@pytest.mark.broker
async def test_tasks_that_have_not_ended_are_listed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorq.cli.listing.PAGE", 1)
    running, queued = await place.system.send("note", 1), await place.system.send("note", 2)
    later = await place.system.ref("mail").options(delay="1h", queue="media").send(3)
    runs = {"id": running.id, "actor": "note", "queue": "default", "attempt": 2, "started": 1.0}
    states = {running.id: "running", queued.id: "queued", later.id: "scheduled"}
    async with answering(place.system, w1={"tasks": always(running=[runs])}):
        rows = await place.document("task", "ls")
        assert {row["id"]: row["state"] for row in rows} == states
        assert rows[0] == {
            "id": running.id, "actor": "note", "queue": "default", "state": "running", "attempt": 2,
            "since": "1970-01-01T00:00:01.000+00:00",
        }  # fmt: skip
        for filters, expected in (
            (("--state", "queued"), [queued]), (("--state", "running"), [running]), (("--state", "retrying"), []),
            (("--actor", "mail"), [later]), (("--queue", "media"), [later]), (("--queue", "none"), []),
            (("--state", "scheduled", "--actor", "mail"), [later]),
        ):  # fmt: skip
            assert [row["id"] for row in await place.document("task", "ls", *filters)] == [h.id for h in expected]
        finished = await place.run("task", "ls", "--limit", "2")
        assert finished.stdout.count("\n") == 3
        assert "there are more: --limit 2 was reached" in finished.stderr


@pytest.mark.broker
async def test_tasks_are_cancelled_by_their_ids(place: Place) -> None:
    first, second = await place.system.send("note", 1), await place.system.send("note", 2)
    assert "cancel 2 tasks? add --yes" in await place.refused(2, "task", "cancel", first.id, second.id)
    rows = await place.document("task", "cancel", first.id, second.id, "--dry-run")
    assert [row["state"] for row in rows] == ["queued", "queued"]
    rows = await place.document("task", "cancel", first.id, "--yes")
    assert rows == [{"id": first.id, "cancelled": True, "state": "cancelled"}]
    finished = await place.run("task", "cancel", first.id, second.id, "nobody-sent-this", "--yes")
    assert finished.returncode == 1
    assert "no message and no record of task 'nobody-sent-this'" in finished.stderr
    table = [line.split() for line in finished.stdout.splitlines()]
    assert table == [
        ["id", "cancelled", "state"], [first.id, "no", "cancelled"], [second.id, "yes", "cancelled"],
        ["nobody-sent-this", "no", "unknown"],
    ]  # fmt: skip


@pytest.mark.broker
async def test_a_task_is_watched_to_its_end(place: Place) -> None:
    running, go = anyio.Event(), anyio.Event()

    @place.system.actor
    async def work(ctx: Context, x: int) -> int:
        running.set()
        await go.wait()
        return x

    handle = await work.send(7)
    async with Worker(place.system):
        await running.wait()
        seen: list[Finished] = []

        async def watch() -> None:
            seen.append(await place.run("task", "watch", handle.id))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await wait_until(lambda: place.said("running"), description="the command has seen it run")
            go.set()
    (finished,) = seen
    assert (finished.returncode, finished.stdout) == (0, "7\n")
    assert [line.split()[1] for line in finished.stderr.splitlines()] == ["running", "succeeded"]
    cancelled = await place.system.send("nobody", 1)
    assert (await place.run("task", "watch", cancelled.id, "--timeout", "300ms")).returncode == 75
    await cancelled.cancel()
    finished = await place.run("task", "watch", cancelled.id, "--json")
    assert finished.returncode == 1
    assert json.loads(finished.stdout)["state"] == "cancelled"


@pytest.mark.broker
async def test_a_dead_task_is_retried_by_its_id(place: Place) -> None:
    broken = True

    @place.system.actor(retry={"max_attempts": 1})
    async def flaky(x: int) -> int:
        if broken:
            raise ValueError("not yet")
        return x

    async with Worker(place.system):
        handle = await flaky.send(7)
        with pytest.raises(ValueError, match="not yet"):
            await handle
        await wait_until(
            lambda: place.system.client.transport.get(place.system.namespace.dead("default", "flaky", handle.id)),
            description="the dead letter",
        )
        broken = False
        assert (await place.run("task", "retry", handle.id, "--yes")).returncode == 0
        assert await place.system.handle(handle.id) == 7


# ---- all of them


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("Yes\n", 0), ("\n", 1), ("", 1)])
def test_whoever_sits_at_a_terminal_is_asked(
    said: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard = StringIO(said)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    if code:
        with pytest.raises(Exit, match="nothing was done") as refused:
            consent("cancel 2 tasks", yes=False)
        assert refused.value.code == code
    else:
        consent("cancel 2 tasks", yes=False)
    assert capsys.readouterr() == ("", "actorq: cancel 2 tasks? [y/N] ")


@pytest.mark.broker
@pytest.mark.parametrize(
    "command",
    ["ping", "workers", "actor ls", "actor tree", "actor restart a", "actor rate a 1/s", "queue ls", "queue pause q",
     "queue resume q", "queue purge q -y", "task ls", "task cancel T1 -y", "task watch T1", "task retry T1 -y"],
)  # fmt: skip
def test_none_makes_streams(command: str, actorq_nats: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--namespace", "misspelt", "-s", actorq_nats]) == 78
    seen = capsys.readouterr()
    assert seen.err == "actorq: there is no system 'misspelt' at this broker: check --namespace and --server\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["actor", "rate", "a", "quick"], ["actor", "rate", "a", "1/s", "--burst", "0"], ["actor", "restart", "a//b"],
        ["queue", "pause", "a b"], ["task", "ls", "--state", "dead"], ["task", "ls", "--limit", "0"],
        ["task", "cancel"], ["task", "cancel", "a.b", "--yes"], ["completion", "tcsh"],
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--namespace", "shop"] if arguments[0] != "completion" else arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_learn_the_commands(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("actorq", "purge", "restart", "--namespace"))
    if program := shutil.which(shell):
        (tmp_path / "script").write_text(script)
        checked = subprocess.run([program, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
    else:
        assert shell != "bash", "there is no bash to check the script with"
