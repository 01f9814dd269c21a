"""Commands on tasks, what all commands on a running system share, and completion."""

from __future__ import annotations

import json
import shutil
import subprocess
from io import StringIO
from pathlib import Path

import anyio
import pytest

from actorq import Context, Worker
from actorq.cli.consent import consent
from actorq.cli.exits import Exit
from actorq.cli.main import main
from actorq.testing import wait_until
from tests.cli.operated import Finished, Place, always, answering

pytestmark = pytest.mark.anyio


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
            (("--state", "scheduled", "--actor", "mail"), [later]), (("--actor", "mail.method"), []),
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
    assert seen.err.startswith("actorq: there is no system 'misspelt' at this broker: check --namespace and --server; ")
    assert seen.err.count("\n") == 1


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
