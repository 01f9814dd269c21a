"""Rate limits and what can be changed while a worker runs: semantics H-1 and H-2, interface 2 and 3."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from actorq import ActorSystem, Retry, UsageError, Worker, WorkerOptions
from actorq.testing import wait_until

pytestmark = pytest.mark.anyio

MakeSystem = Callable[..., ActorSystem]


def most_within(starts: list[float], seconds: float) -> int:
    return max(sum(begin <= start <= begin + seconds for start in starts) for begin in starts)


async def tell(system: ActorSystem, verb: str, question: dict[str, Any]) -> list[dict[str, object]]:
    return await system.client.ask_workers(verb, question, enough=bool)


async def test_no_more_start_than_the_rate_allows(system: ActorSystem) -> None:
    """H-1: in any time, no more than the burst and what the rate gives; and no less in the long run."""
    starts: list[float] = []

    @system.actor(rate_limit="40/s", burst=5)
    async def work() -> None:
        starts.append(anyio.current_time())

    async with system, Worker(system):
        for handle in await work.send_many([()] * 30):
            await handle
    assert most_within(starts, 0.25) <= 5 + 10 + 1
    assert most_within(starts, 0.1) <= 5 + 4 + 1
    assert starts[-1] - starts[0] >= 24 / 40
    assert len(starts) == 30


async def test_the_limit_holds_over_all_mailboxes_of_an_actor(system: ActorSystem) -> None:
    """H-1: it is the actor's, whatever queue a message came by; and none of its mailboxes is left waiting."""
    starts: list[float] = []

    @system.actor(rate_limit="20/s", burst=1)
    async def work() -> None:
        starts.append(anyio.current_time())

    async with system, Worker(system):
        handles = [await work.options(queue=f"q{n % 3}").send() for n in range(9)]
        for handle in handles:
            await handle
    assert most_within(starts, 0.2) <= 1 + 4 + 1
    assert len(starts) == 9


async def test_a_limit_over_all_workers_is_that_of_one_queue(system: ActorSystem) -> None:
    """H-2: another queue would have a consumer, and so a limit, of its own."""

    @system.actor(queue="media", global_concurrency=2)
    async def work() -> str:
        return "done"

    async with system:
        with pytest.raises(UsageError, match=r"actor 'work': global_concurrency .* queue 'other': send without queue="):
            await work.options(queue="other").send()
        handle = await work.options(queue="media").send()
        async with Worker(system):
            assert await handle == "done"


async def test_a_limited_actor_delays_nobody_else(system: ActorSystem) -> None:
    """H-1: the free one in the same queue is done before the limited one has begun its second message."""
    done: list[str] = []

    @system.actor(rate_limit="1/10s")
    async def limited() -> None:
        done.append("limited")

    @system.actor
    async def free() -> None:
        done.append("free")

    async with system, Worker(system):
        await limited.send_many([()] * 100)
        for handle in await free.send_many([()] * 200):
            await handle
        assert done.count("free") == 200
        assert done.count("limited") == 1


async def test_a_rate_is_changed_while_it_runs(system: ActorSystem) -> None:
    """H-1: by a control message; and taken away again."""
    runs = 0

    @system.actor(rate_limit="1/1h")
    async def work() -> None:
        nonlocal runs
        runs += 1

    async with system, Worker(system, WorkerOptions(name="w")):
        await work.send_many([()] * 20)
        await wait_until(lambda: runs == 1, description="the first one runs")
        assert await tell(system, "rate", {"actor": "work", "rate": "100/s", "burst": 1}) == [
            {"worker": "w", "ok": True, "error": None}
        ]
        await wait_until(lambda: runs >= 6, description="more run")
        (bad,) = await tell(system, "rate", {"actor": "work", "rate": "often"})
        assert bad["ok"] is False
        assert '"often" is not a rate' in str(bad["error"])
        assert await tell(system, "rate", {"actor": "work", "rate": None}) == [
            {"worker": "w", "ok": True, "error": None}
        ]
        await wait_until(lambda: runs == 20, description="all run")


async def test_a_paused_queue_is_left_alone_until_it_is_resumed(system: ActorSystem) -> None:
    """Pausing is durable: it holds for workers that run and for those that start later."""
    runs: list[str] = []

    @system.actor(queue="held")
    async def held() -> None:
        runs.append("held")

    @system.actor
    async def free() -> None:
        runs.append("free")

    async with system:
        async with Worker(system):
            await held.ask()
            assert await system.client.register.pause("held", True)
            await held.options(queue="other").ask()
            handle = await held.send()
            await free.ask()
            assert await handle.status() == "queued"
        async with Worker(system):
            await free.ask()
            assert await handle.status() == "queued"
            assert await system.client.register.pause("held", False)
            await handle
    assert runs == ["held", "held", "free", "free", "held"]


async def test_a_worker_tells_what_it_is_and_does(system: ActorSystem) -> None:
    """The answers to ping, info and tree, of all workers and of one by its name."""

    @system.actor(rate_limit="5/s", queue="media", concurrency=3)
    async def work() -> None: ...

    system.supervisor("group", strategy="rest_for_one", children=["work"])
    async with system, Worker(system, WorkerOptions(name="w")):
        (ping,) = await tell(system, "ping", {})
        assert ping["worker"] == "w"
        (info,) = await tell(system, "info", {})
        assert (info["system"], info["queues"], info["running"]) == (system.name, ["media"], 0)
        actors: Any = info["actors"]
        assert actors["work"].items() >= {"queue": "media", "concurrency": 3, "rate": "5/s", "running": 0}.items()
        (answer,) = await tell(system, "tree", {})
        tree: Any = answer["tree"]
        assert (tree["path"], tree["kind"], tree["state"]) == ("root", "supervisor", "running")
        (group,) = tree["children"]
        assert (group["path"], group["strategy"]) == ("root/group", "rest_for_one")
        (node,) = group["children"]
        assert node.items() >= {"path": "root/group/work", "state": "running", "restarts": 0, "rate": "5/s"}.items()


async def test_an_actor_is_restarted_by_order(system: ActorSystem) -> None:
    """A restart that somebody asks for does not count, and an unknown path is told so."""
    setups = 0

    @system.actor
    class Thing:
        async def setup(self) -> None:
            nonlocal setups
            setups += 1

        async def work(self) -> int:
            return setups

    async with system, Worker(system):
        assert await system.ask("thing.work") == 1
        for number in range(2, 7):
            (answer,) = await tell(system, "restart", {"path": "root/thing"})
            assert answer["ok"] is True
            await wait_until(lambda: setups == number, description="it is set up again")  # noqa: B023
            assert await system.ask("thing.work") == number
        (answer,) = await tell(system, "restart", {"path": "nobody"})
        assert answer["ok"] is False
        assert "there is no child 'nobody'" in str(answer["error"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "actorq.toml"


async def test_a_configuration_is_applied_live(system: ActorSystem, file: Path) -> None:
    """Interface 3: limits and rates change without a restart; what a bad file says changes nothing."""
    runs, setups = 0, 0

    @system.actor
    class Thing:
        async def setup(self) -> None:
            nonlocal setups
            setups += 1

        async def work(self) -> None:
            nonlocal runs
            runs += 1

    file.write_text('[actors.thing]\nrate_limit = "1/1h"\n')
    async with system, Worker(system, config=file) as worker:
        handles = await system.ref("thing.work").send_many([()] * 20)
        await wait_until(lambda: runs == 1, description="the first one runs")
        file.write_text('[actors.thing]\nrate_limit = "100 per sec"\n')
        assert not await worker.reload()
        assert str(worker.runners["thing"].jobs.pace.rate) == "1/h"
        file.write_text('[worker]\nbackend = "trio"\n')
        assert not await worker.reload()
        file.write_text('[actors.thing]\nrate_limit = "100/s"\nconcurrency = 3\n')
        assert await worker.reload()
        for handle in handles:
            await handle
        assert worker.runners["thing"].jobs.slots.capacity == 3
        assert setups == 1


async def test_a_change_of_queue_or_place_restarts_its_actor_alone(system: ActorSystem, file: Path) -> None:
    """Interface 3: under load, without a message lost or run twice, and without counting as a restart."""
    runs: dict[str, list[int]] = {"one": [], "two": []}
    setups: list[str] = []

    def declare(name: str) -> None:
        class Thing:
            async def setup(self) -> None:
                setups.append(name)

            async def work(self, number: int) -> None:
                await anyio.sleep(0.002)
                runs[name].append(number)

        system.actor(name=name, concurrency=4)(Thing)

    declare("one")
    declare("two")
    file.write_text("")
    async with system, Worker(system, config=file) as worker:
        handles = await system.ref("one.work").send_many([(n,) for n in range(300)])
        await wait_until(lambda: len(runs["one"]) > 20, description="work is under way")
        file.write_text('[actors.one]\nqueue = "moved"\n[supervisors.new]\nchildren = ["two"]\n')
        assert await worker.reload()
        await wait_until(lambda: setups == ["one", "two", "two", "one"], description="both start again")
        handles += await system.ref("one.work").options(queue="moved").send_many([(n,) for n in range(300, 320)])
        for handle in handles:
            await handle
        await system.ask("two.work", 1)
        paths = [place for place, _ in worker.supervisor.below()]
        assert paths == ["root/new", "root/new/two", "root/one"]
    assert sorted(runs["one"]) == list(range(320))


async def test_a_worker_tells_what_it_runs_and_since_when(system: ActorSystem) -> None:
    """The answer to tasks, which `actorq task ls` shows."""

    @system.actor
    async def work() -> None:
        await anyio.sleep_forever()

    async with system, Worker(system, WorkerOptions(name="w", shutdown_timeout=0)):
        began = time.time()
        handle = await work.send()
        await wait_until(lambda: _runs(system, handle.id), description="it runs")
        (answer,) = await tell(system, "tasks", {})
        running: Any = answer["running"]
        assert [(task["id"], task["actor"], task["queue"], task["attempt"]) for task in running] == [
            (handle.id, "work", "default", 1)
        ]
        assert began - 0.1 <= running[0]["started"] <= time.time()


async def _runs(system: ActorSystem, task_id: str) -> bool:
    return await system.handle(task_id).status() == "running"


async def test_the_root_is_restarted_with_all_below_it(system: ActorSystem) -> None:
    """By the path that the tree shows."""
    setups: list[str] = []

    def declare(name: str) -> None:
        class Thing:
            async def setup(self) -> None:
                setups.append(name)

            async def work(self) -> None: ...

        system.actor(name=name)(Thing)

    declare("one")
    declare("two")
    async with system, Worker(system):
        (answer,) = await tell(system, "restart", {"path": "root"})
        assert answer["ok"] is True
        await wait_until(lambda: sorted(setups) == ["one", "one", "two", "two"], description="both are set up again")


async def test_a_file_given_in_code_says_where_the_worker_is(system: ActorSystem, file: Path, url: str) -> None:
    """Interface 1 and 3: namespace and connection are the file's, also without the command line."""

    @system.actor
    async def work() -> str:
        return "done"

    name = f"{system.name}-other"
    file.write_text(f'namespace = "{name}"\n[nats]\nsend_timeout = "7s"\n')
    worker = Worker(system, config=file)
    async with system, worker, ActorSystem(name, transport=url) as other:
        assert await other.ask("work") == "done"
        assert system.send_timeout == 7.0


async def test_an_actor_limited_over_all_workers_cannot_wait_for_itself(system: ActorSystem) -> None:
    """E-8: a UsageError at once, instead of a wait that only the time limit ends."""

    @system.actor(global_concurrency=1, retry=Retry(max_attempts=1))
    async def again(n: int) -> int:
        return 0 if n == 0 else 1 + int(await system.ask("again", n - 1))

    async with system, Worker(system):
        assert await again.ask(0) == 0
        with pytest.raises(UsageError, match="waits for a task of its own"):
            await again.ask(1)
