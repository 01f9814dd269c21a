"""A configuration that is read again by a running worker: interface 3."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import anyio
import pytest

from actorq import ActorSystem, Background, Worker
from actorq.testing import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def system() -> ActorSystem:
    return ActorSystem(f"spec-{uuid.uuid4().hex[:12]}", transport=f"memory:{uuid.uuid4().hex}")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "actorq.toml"
        path.write_text(text)
        return path

    return write


async def test_other_queues_are_served_from_then_on(system: ActorSystem, write: Callable[[str], Path]) -> None:
    """[worker] queues: what waits in the new ones is taken, in the old ones no more."""

    @system.actor(queue="one")
    async def first() -> str:
        return "first"

    @system.actor(queue="two")
    async def second() -> str:
        return "second"

    async with system, Worker(system, config=write('[worker]\nqueues = ["one"]\n')) as worker:
        assert await first.ask() == "first"
        waiting = await second.send()
        write('[worker]\nqueues = ["two"]\n')
        assert await worker.reload()
        assert await waiting.result(timeout=5) == "second"
        left = await first.send()
        assert worker.queues == ["two"]
        assert await second.ask() == "second"
        assert await left.status() == "queued"


async def test_the_slots_of_all_actors_change_with_each_reload(
    system: ActorSystem, write: Callable[[str], Path]
) -> None:
    """[worker] concurrency, and back to each actor's own when it is taken out."""

    @system.actor(concurrency=3)
    async def work() -> None:
        pass

    async with system, Worker(system, config=write("")) as worker:
        for text, slots in (("concurrency = 8", 8), ("concurrency = 4", 4), ("", 3)):
            write(f"[worker]\n{text}\n")
            assert await worker.reload()
            assert worker.runners["work"].jobs.slots.capacity == slots


async def test_a_longer_stop_timeout_counts_at_once(system: ActorSystem, write: Callable[[str], Path]) -> None:
    """[worker] stop_timeout: nobody is restarted for it, and a supervisor waits as long as its actors may take."""

    class Slow:
        async def teardown(self) -> None:
            await anyio.sleep(0.6)
            closed.set()

        async def work(self) -> str:
            return "done"

    closed = anyio.Event()
    system.actor(Slow)
    async with system, Worker(system, config=write('[worker]\nstop_timeout = "0s"\n')) as worker:
        write('[worker]\nstop_timeout = "1m"\n')
        assert await worker.reload()
        (child,) = worker.supervisor.tree()["children"]
        assert (child["state"], child["restarts"]) == ("running", 0)
        assert not closed.is_set()
        assert worker.supervisor.children["slow"].longest_stop > 60
    assert closed.is_set()


async def test_what_a_supervisor_thinks_of_an_actor_disturbs_nobody(
    system: ActorSystem, write: Callable[[str], Path]
) -> None:
    """[actors.NAME] restart applies live: what runs goes on, and the next failure is judged by it."""
    release, lives = anyio.Event(), list[int]()

    class Frail:
        async def setup(self) -> None:
            lives.append(1)

        async def work(self) -> int:
            await release.wait()
            return len(lives)

    system.actor(Frail)
    async with system, Worker(system, config=write("")) as worker:
        handle = await system.send("frail.work")
        await wait_until(lambda: bool(worker.runners["frail"].jobs), description="it runs")
        write('[actors.frail]\nrestart = "temporary"\n')
        with anyio.fail_after(5):
            assert await worker.reload()
        release.set()
        assert await handle.result(timeout=5) == 1
        worker.runners["frail"].fail(RuntimeError("broken"))
        await wait_until(
            lambda: worker.supervisor.tree()["children"][0]["state"] == "stopped", description="it is not restarted"
        )


class Thing:
    """An actor whose setup fails while its name is in ``broken``, and which breaks for good when told to."""

    broken: ClassVar[set[str]] = set()
    setups: ClassVar[list[str]] = []
    name: ClassVar[str] = ""

    async def setup(self, background: Background) -> None:
        if self.name in self.broken:
            raise ConnectionError(f"no {self.name}")
        self.setups.append(self.name)
        self._broke = anyio.Event()
        background.start_soon(self._watch)

    async def _watch(self) -> None:
        await self._broke.wait()
        raise ConnectionError("broken")

    async def work(self) -> str:
        return self.name

    async def crash(self) -> None:
        self._broke.set()


@pytest.fixture
def things(system: ActorSystem) -> type[Thing]:
    Thing.broken.clear()
    Thing.setups.clear()
    for name in ("steady", "frail"):
        system.actor(name=name)(type(name, (Thing,), {"name": name}))
    return Thing


def places(worker: Worker) -> list[str]:
    return [place for place, _ in worker.supervisor.below()]


async def test_an_actor_that_was_left_out_gets_another_chance(
    system: ActorSystem, write: Callable[[str], Path], things: type[Thing]
) -> None:
    """An added actor whose setup fails is left out; reloads go on, and the next one tries it again."""
    only = '[supervisor]\nchildren = ["steady"]\n'
    async with system, Worker(system, config=write(only)) as worker:
        things.broken.add("frail")
        write('[supervisor]\nchildren = ["steady", "frail"]\n')
        assert await worker.reload()
        await wait_until(lambda: places(worker) == ["root/steady"], description="it is left out")
        write(only)
        assert await worker.reload()
        write('[supervisor]\nchildren = ["frail", "steady"]\n[actors.frail]\nqueue = "other"\n')
        assert await worker.reload()
        await wait_until(lambda: places(worker) == ["root/steady"], description="it is left out again")
        things.broken.clear()
        assert await worker.reload()
        assert places(worker) == ["root/frail", "root/steady"]
        assert await system.ask("frail.work") == "frail"
        assert await system.ask("steady.work") == "steady"


async def test_a_reload_while_a_supervisor_backs_off(
    system: ActorSystem, write: Callable[[str], Path], things: type[Thing]
) -> None:
    """Its actors take what has changed at their next start; all others at once."""
    text = (
        '[supervisor]\nmax_restarts = 5\nbackoff = { initial = "1s", jitter = 0 }\n'
        '[supervisors.inner]\nmax_restarts = 0\nchildren = ["frail"]\n'
    )
    async with system, Worker(system, config=write(text)) as worker:
        await system.ask("frail.crash")
        inner = worker.supervisor.children["inner"].supervisor
        assert inner is not None
        await wait_until(lambda: inner.incarnations is None, description="it backs off")
        write(text + '[actors.frail]\nqueue = "one"\n[actors.steady]\nqueue = "two"\n')
        assert await worker.reload()
        assert await system.ref("steady.work").options(queue="two").ask() == "steady"
        assert await system.ref("frail.work").options(queue="one").ask() == "frail"
        assert things.setups.count("frail") == 2


async def test_a_reload_does_not_revive_what_has_ended_for_good(
    system: ActorSystem, write: Callable[[str], Path], things: type[Thing]
) -> None:
    """G-3: a temporary actor stays away, whatever of it has changed."""
    text = '[actors.frail]\nrestart = "temporary"\n'
    async with system, Worker(system, config=write(text)) as worker:
        await system.ask("frail.crash")
        await wait_until(lambda: "stopped" in str(worker.supervisor.tree()), description="it has ended")
        write(text + 'queue = "other"\n[actors.steady]\nqueue = "other"\n')
        assert await worker.reload()
        await wait_until(lambda: things.setups.count("steady") == 2, description="the other one is restarted")
        assert things.setups.count("frail") == 1


async def test_processes_that_there_cannot_be_are_refused(
    system: ActorSystem, write: Callable[[str], Path], things: type[Thing]
) -> None:
    """Isolation that could not be had at boot cannot be had by a reload either; nothing changes."""
    async with system, Worker(system, config=write("")) as worker:
        write('[actors.frail]\nisolation = "process"\n')
        assert not await worker.reload()
        assert await system.ask("frail.work") == "frail"
