"""Actors under supervision in a worker: semantics F (layers 2 and 3), G for real actors, on virtual time."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from typing import Any, Literal

import anyio
import pytest

from actorq import (
    ActorSystem,
    Background,
    Context,
    Handle,
    RemoteError,
    RestartIntensityExceeded,
    Retry,
    SupervisionError,
    Worker,
    WorkerOptions,
)
from actorq.testing.clock import virtual_time

pytestmark = pytest.mark.anyio

MakeSystem = Callable[..., ActorSystem]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Any]:
    backend: Literal["asyncio", "trio"] = request.param
    return virtual_time(backend)


@pytest.fixture
def system() -> ActorSystem:
    return ActorSystem(f"spec-{uuid.uuid4().hex[:12]}", transport=f"memory:{uuid.uuid4().hex}")


class Broken(Exception):
    """A resource that no longer works."""


class Diary:
    """What the actors of a test have done, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def actor(self, system: ActorSystem, name: str, **options: Any) -> None:
        """A class actor that notes its setup and teardown and whose ``crash`` breaks it."""
        lines = self.lines

        class Noting:
            async def setup(self, background: Background) -> None:
                lines.append(f"+{name}")
                self._broken = anyio.Event()
                background.start_soon(self._watch)

            async def teardown(self) -> None:
                lines.append(f"-{name}")

            async def _watch(self) -> None:
                await self._broken.wait()
                raise Broken(f"{name} is broken")

            async def crash(self) -> None:
                self._broken.set()

            async def work(self, seconds: float) -> str:
                await anyio.sleep(seconds)
                return name

        system.actor(Noting, **options) if not options else system.actor(name=name, **options)(Noting)


def declare(system: ActorSystem, diary: Diary, *names: str) -> None:
    for name in names:
        diary.actor(system, name, timeout="1h")


async def restarted(worker: Worker, name: str, times: int) -> None:
    """Wait, on virtual time, until an actor has been restarted so often and runs."""
    with anyio.fail_after(120):
        while not _is(worker.supervisor.tree(), name, times):
            await anyio.sleep(0.05)


def _is(node: dict[str, Any], name: str, times: int) -> bool:
    if node["name"] == name:
        return bool(node["restarts"] == times and node["state"] == "running")
    return any(_is(child, name, times) for child in node.get("children", ()))


async def test_a_background_task_that_fails_restarts_its_actor(system: ActorSystem) -> None:
    """F, layer 2: the instance is torn down and built anew; the other actor notices nothing."""
    diary = Diary()
    declare(system, diary, "a", "b")
    async with system, Worker(system) as worker:
        await system.ask("a.crash")
        await restarted(worker, "a", 1)
        assert await system.ask("a.work", 0) == "a"
        assert diary.lines == ["+a", "+b", "-a", "+a"]
    assert diary.lines[4:] == ["-b", "-a"]


async def test_failures_of_messages_restart_nothing(system: ActorSystem) -> None:
    """F-1: a thousand exceptions in handlers, and no restart."""
    diary = Diary()
    declare(system, diary, "a")

    @system.actor(retry=Retry(max_attempts=1), concurrency=100)
    async def fail() -> None:
        raise ValueError("no")

    async with system, Worker(system) as worker:
        for handle in await fail.send_many([()] * 1_000):
            with pytest.raises(ValueError, match="no"):
                await handle
        assert [child["restarts"] for child in worker.supervisor.tree()["children"]] == [0, 0]


async def test_restart_on_restarts_the_actor_and_the_message_counts(system: ActorSystem) -> None:
    """F-2: the message that triggered it is retried as any other; what else ran is handed back with the same n."""
    seen: list[tuple[str, int]] = []
    setups = 0

    class Pool:
        async def setup(self) -> None:
            nonlocal setups
            setups += 1

        async def use(self, ctx: Context) -> int:
            seen.append(("use", ctx.attempt))
            if ctx.attempt == 1:
                raise Broken("lost")
            return setups

        async def long(self, ctx: Context) -> int:
            seen.append(("long", ctx.attempt))
            await anyio.sleep(60)
            return setups

    system.actor(name="pool", retry=Retry(restart_on=(Broken,), initial="10s", jitter=False))(Pool)
    async with system, Worker(system) as worker:
        running = await system.send("pool.long")
        await anyio.sleep(1)
        begun = anyio.current_time()
        assert await system.ask("pool.use") == 2
        assert anyio.current_time() - begun == pytest.approx(10, abs=1)
        await restarted(worker, "pool", 1)
        assert await running == 2
    assert seen == [("long", 1), ("use", 1), ("long", 1), ("use", 2)]


async def test_queued_messages_wait_through_a_restart(system: ActorSystem) -> None:
    """F-2: what had not been taken stays in the mailbox, and all of it runs once."""
    runs: list[int] = []
    broken = anyio.Event()

    class Slow:
        async def setup(self, background: Background) -> None:
            background.start_soon(self._watch)

        async def _watch(self) -> None:
            nonlocal broken
            await broken.wait()
            broken = anyio.Event()
            raise Broken("once")

        async def work(self, number: int) -> None:
            await anyio.sleep(1)
            runs.append(number)

    system.actor(name="slow", concurrency=1)(Slow)
    async with system, Worker(system) as worker:
        handles = await system.ref("slow.work").send_many([(n,) for n in range(10)])
        await handles[1]
        broken.set()
        await restarted(worker, "slow", 1)
        for handle in handles:
            await handle
    assert sorted(runs) == list(range(10))


async def test_setup_that_fails_during_a_restart_is_tried_again(system: ActorSystem) -> None:
    """G-4, G-6: three failed starts, each after a longer backoff, then it works; all of them count."""
    starts: list[float] = []

    class Flaky:
        async def setup(self, background: Background) -> None:
            starts.append(anyio.current_time())
            if 1 < len(starts) < 5:
                raise Broken("not yet")
            if len(starts) == 1:
                background.start_soon(self._break)

        async def _break(self) -> None:
            await anyio.sleep(10)
            raise Broken("gone")

        async def work(self) -> int:
            return len(starts)

    system.supervisor("root", max_restarts=10, within="1m")
    system.actor(name="flaky")(Flaky)
    async with system, Worker(system) as worker:
        await restarted(worker, "flaky", 4)
        assert await system.ask("flaky.work") == 5
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts[1:])]
    assert gaps == sorted(gaps)
    assert gaps[0] == pytest.approx(0.2, rel=0.25)


async def test_an_actor_that_cannot_come_back_ends_the_worker(system: ActorSystem) -> None:
    """F, layers 3 and 4: the block around the worker is cancelled, and told which path failed with what."""

    class Doomed:
        starts = 0

        async def setup(self, background: Background) -> None:
            Doomed.starts += 1
            if Doomed.starts > 1:
                raise Broken("the disk is gone")
            background.start_soon(self._break)

        async def _break(self) -> None:
            await anyio.sleep(1)
            raise Broken("gone")

        async def work(self) -> None: ...

    system.actor(name="doomed")(Doomed)
    async with system:
        with pytest.raises(RestartIntensityExceeded, match=r"root.*doomed.*the disk is gone") as caught:
            async with Worker(system):
                await anyio.sleep_forever()
    assert Doomed.starts == 4
    assert isinstance(caught.value.__cause__, Broken)


async def test_a_boot_that_fails_tears_down_what_has_started(system: ActorSystem) -> None:
    """G-2: children start in order; the failure names the path, and those before it end in reverse."""
    diary = Diary()
    declare(system, diary, "a", "b")

    class Bad:
        async def setup(self) -> None:
            diary.lines.append("+bad")
            raise Broken("no licence")

        async def work(self) -> None: ...

    system.actor(name="bad")(Bad)
    declare(system, diary, "c")
    async with system:
        with pytest.raises(SupervisionError, match=r"root/bad.*no licence"):
            async with Worker(system):
                pytest.fail("it must not start")
    assert diary.lines == ["+a", "+b", "+bad", "-b", "-a"]


async def test_sys_exit_in_a_setup_is_a_failure_like_any_other(system: ActorSystem) -> None:
    """E-5, G-2: of the actor, whose path is named; nobody's process ends."""

    class Bad:
        async def setup(self) -> None:
            raise SystemExit(0)

        async def work(self) -> None: ...

    system.actor(Bad)
    async with system:
        with pytest.raises(SupervisionError, match=r"^root/bad \(SystemExit: 0\) could not be started: correct it"):
            async with Worker(system):
                pytest.fail("it must not start")


async def test_who_gives_up_names_the_actor_whose_message_broke_it(system: ActorSystem) -> None:
    """F-2: also where the failure is a message's, of a type in restart_on."""

    @system.actor(retry=Retry(max_attempts=1, restart_on=(Broken,)))
    async def fragile() -> None:
        raise Broken("the pool")

    async def run() -> None:
        async with system, Worker(system):
            await fragile.send()
            await anyio.sleep(60)

    system.supervisor("root", max_restarts=0)
    with pytest.raises(RestartIntensityExceeded, match=r"last: root/fragile \(.*Broken: the pool\): correct it"):
        await run()


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["-b", "+b"]),
        ("rest_for_one", ["-c", "-b", "+b", "+c"]),
        ("one_for_all", ["-c", "-b", "-a", "+a", "+b", "+c"]),
    ],
)
async def test_strategies(system: ActorSystem, strategy: Any, expected: list[str]) -> None:
    """G-3: who is restarted beside the one that failed, stopped in reverse and started in order."""
    diary = Diary()
    declare(system, diary, "a", "b", "c")
    system.supervisor("three", strategy=strategy, children=["a", "b", "c"])
    async with system, Worker(system) as worker:
        del diary.lines[:]
        await system.ask("b.crash")
        await restarted(worker, "b", 1)
        await restarted(worker, "c", worker.supervisor.tree()["children"][0]["children"][2]["restarts"])
        assert sorted(diary.lines) == sorted(expected)
        # Who failed has ended by itself; all others are stopped in reverse order.
        assert [line for line in diary.lines if line[0] == "+"] == [line for line in expected if line[0] == "+"]
        assert [line for line in diary.lines if line[0] == "-" and line != "-b"] == [
            line for line in expected if line[0] == "-" and line != "-b"
        ]
        assert await system.ask("c.work", 0) == "c"


async def test_nested_supervisors_fail_upward(system: ActorSystem) -> None:
    """F, layer 3: a supervisor that gives up is restarted by the one above, with all below it."""
    diary = Diary()
    declare(system, diary, "a", "b")
    system.supervisor("inner", strategy="one_for_one", max_restarts=0, children=["a", "b"])
    async with system, Worker(system) as worker:
        await system.ask("a.crash")
        await restarted(worker, "inner", 1)
        assert diary.lines == ["+a", "+b", "-a", "-b", "+a", "+b"]
        assert await system.ask("b.work", 0) == "b"


@pytest.mark.parametrize(("restart", "runs"), [("permanent", True), ("transient", True), ("temporary", False)])
async def test_restart_types(system: ActorSystem, restart: Any, runs: bool) -> None:
    """G-3: after a failure a temporary actor stays away, its messages wait."""
    diary = Diary()
    diary.actor(system, "a", restart=restart)
    async with system, Worker(system):
        await system.ask("a.crash")
        await anyio.sleep(5)
        handle = await system.send("a.work", 0)
        await anyio.sleep(5)
        assert (await handle.status() == "succeeded") == runs
    assert diary.lines == (["+a", "-a", "+a", "-a"] if runs else ["+a", "-a"])


async def test_stopping_is_served_while_an_actor_backs_off(system: ActorSystem) -> None:
    """G-6: a worker that is left while a child waits for its restart ends at once."""
    diary = Diary()
    declare(system, diary, "a")
    system.supervisor("root", backoff={"initial": "1h", "max": "1h"}, max_restarts=5)
    async with system:
        async with Worker(system):
            await system.ask("a.crash")
            await anyio.sleep(10)
            begun = anyio.current_time()
        assert anyio.current_time() - begun <= 0.5
    assert diary.lines == ["+a", "-a"]


async def test_sys_exit_in_a_handler_fails_its_message_alone(system: ActorSystem) -> None:
    """E-5: neither the worker nor the actor ends."""

    @system.actor(retry=Retry(max_attempts=2, initial="1s"))
    async def leave() -> None:
        raise SystemExit(3)

    @system.actor
    async def stay(x: int) -> int:
        return x

    async with system, Worker(system) as worker:
        with pytest.raises(RemoteError, match="SystemExit: 3") as caught:
            await leave.ask()
        assert caught.value.attempts == 2
        assert await stay.ask(1) == 1
        assert [child["restarts"] for child in worker.supervisor.tree()["children"]] == [0, 0]


async def test_a_cancelled_program_tears_its_actors_down(system: ActorSystem) -> None:
    """E-6: also when the program around the worker is cancelled, its actors close what they have opened."""
    diary = Diary()
    declare(system, diary, "a", "b")
    async with system, anyio.create_task_group() as tasks:

        async def serve() -> None:
            async with Worker(system):
                tasks.cancel_scope.cancel()
                await anyio.sleep_forever()

        tasks.start_soon(serve)
    assert diary.lines == ["+a", "+b", "-b", "-a"]


async def test_a_burst_does_not_wait_for_an_actor_that_nobody_runs(system: ActorSystem) -> None:
    """G-1: one that no supervisor names is not started, and what waits for it is for other workers."""

    @system.actor
    async def named() -> str:
        return "done"

    @system.actor
    async def unnamed() -> None: ...

    system.supervisor("root", children=[named])
    async with system:
        handles: list[Handle[Any]] = [await named.send(), await unnamed.send()]
        with anyio.fail_after(60):
            assert await Worker(system, WorkerOptions(burst=True)).run() == 0
        assert [await handle.status() for handle in handles] == ["succeeded", "queued"]


async def test_an_actor_without_a_mailbox_here_is_not_set_up(system: ActorSystem) -> None:
    """A-5: a worker that serves other queues needs none of its resources, until a message comes to one of its own."""
    diary = Diary()
    diary.actor(system, "a", queue="elsewhere")
    async with system, Worker(system, WorkerOptions(queues=("default",))):
        await anyio.sleep(1)
        assert diary.lines == []
        assert await system.ref("a.work").options(queue="default").ask(0) == "a"
        assert diary.lines == ["+a"]
