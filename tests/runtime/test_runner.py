"""Restarts, pauses and new mailboxes that meet in one actor: on virtual time, with a broker that can be held up."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from actorq import ActorSystem, Background, Retry, Worker, WorkerOptions
from actorq.errors import BrokerUnavailable
from actorq.model.address import Mailbox
from actorq.model.message import Confirmation, ConsumerSpec, Failed, Publication
from actorq.ports.transport import Consumer, Delivery
from actorq.testing.clock import virtual_time

pytestmark = pytest.mark.anyio

LATE = Mailbox("late", 0, "work")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Any]:
    backend: Literal["asyncio", "trio"] = request.param
    return virtual_time(backend)


@pytest.fixture
def system() -> ActorSystem:
    return ActorSystem(f"spec-{uuid.uuid4().hex[:12]}", transport=f"memory:{uuid.uuid4().hex}")


class Gate:
    """Holds up what a transport is asked for, while it is closed."""

    def __init__(self) -> None:
        self._opened = anyio.Event()
        self._opened.set()

    def close(self) -> None:
        self._opened = anyio.Event()

    def open(self) -> None:
        self._opened.set()

    async def passed(self) -> None:
        await self._opened.wait()


class SlowConsumer:
    """A consumer that is stopped once the gate is open."""

    def __init__(self, consumer: Consumer, gate: Gate) -> None:
        self._consumer = consumer
        self._gate = gate

    @property
    def lease(self) -> float:
        return self._consumer.lease

    def grant(self, credit: int) -> None:
        self._consumer.grant(credit)

    async def receive(self) -> Sequence[Delivery]:
        return await self._consumer.receive()

    async def stop(self) -> Sequence[Delivery]:
        await self._gate.passed()
        return await self._consumer.stop()


def slow_to_join(system: ActorSystem, monkeypatch: pytest.MonkeyPatch, queue: str) -> Gate:
    """Whoever joins a mailbox of that queue waits for the gate."""
    gate, consume = Gate(), system.client.transport.consume

    async def later(spec: ConsumerSpec) -> Consumer:
        if f".{queue}." in spec.filter:
            await gate.passed()
        return await consume(spec)

    monkeypatch.setattr(system.client.transport, "consume", later)
    return gate


def slow_to_stop(system: ActorSystem, monkeypatch: pytest.MonkeyPatch, queue: str) -> Gate:
    """Consumers of that queue are stopped when the gate is open."""
    gate, consume = Gate(), system.client.transport.consume

    async def slow(spec: ConsumerSpec) -> Consumer:
        consumer = await consume(spec)
        return SlowConsumer(consumer, gate) if f".{queue}." in spec.filter else consumer

    monkeypatch.setattr(system.client.transport, "consume", slow)
    return gate


async def until(met: Callable[[], bool], within: float = 120.0) -> None:
    """Wait on virtual time."""
    with anyio.fail_after(within):
        while not met():
            await anyio.sleep(0.05)


async def restart(worker: Worker, name: str = "work") -> None:
    """Restart an actor by order, and wait until it is up again."""
    before = worker.runners[name].instance
    worker.supervisor.restart(name)
    await until(lambda: worker.runners[name].instance is not before and not worker.runners[name].jobs.stopping)


def declare(system: ActorSystem, runs: list[int], **options: Any) -> None:
    class Work:
        async def add(self, number: int, seconds: float = 0.0) -> int:
            await anyio.sleep(seconds)
            runs.append(number)
            return number

    system.actor(name="work", **options)(Work)


async def test_what_cannot_be_settled_during_a_restart_is_left_to_its_lease(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-3, F-2: and not held for ever, by a worker that has forgotten it."""
    runs: list[int] = []
    declare(system, runs, timeout=None)
    async with system, Worker(system) as worker:
        handle = await system.ref("work.add").send(1)
        publish, away = system.client.transport.publish, True

        async def lost(messages: Sequence[Publication], *, timeout: float) -> Sequence[Confirmation]:
            if away:
                return [Failed(BrokerUnavailable("it is away")) for _ in messages]
            return await publish(messages, timeout=timeout)

        monkeypatch.setattr(system.client.transport, "publish", lost)
        await until(lambda: runs == [1])
        await restart(worker)
        away = False
        assert await handle.result(timeout=120) == 1
    assert runs == [1, 1]


async def test_an_instance_is_torn_down_once(system: ActorSystem, tmp_path: Path) -> None:
    """G-9: also where the actor then has nothing to serve, and ends without having been set up again."""
    lines: list[str] = []

    class Thing:
        async def setup(self) -> None:
            lines.append("+")

        async def teardown(self) -> None:
            lines.append("-")

        async def work(self) -> None: ...

    system.actor(name="thing")(Thing)
    file = tmp_path / "actorq.toml"
    file.write_text('[actors.thing]\nqueue = "here"\n')
    async with system, Worker(system, WorkerOptions(queues=("here",)), config=file) as worker:
        file.write_text('[actors.thing]\nqueue = "elsewhere"\n')
        await worker.runners["thing"].leave()
        worker.supervisor.restart("thing")
        await until(lambda: lines == ["+", "-"])
        await anyio.sleep(1)
    assert lines == ["+", "-"]


async def test_whoever_waits_for_the_end_of_all_messages_hears_of_it(system: ActorSystem) -> None:
    """E-6: a drain, a restart and a reload may wait for it at the same time."""
    runs: list[int] = []
    declare(system, runs)
    async with system, Worker(system) as worker:
        runner = worker.runners["work"]
        await system.ref("work.add").send(1, 3.0)
        await until(lambda: bool(runner.jobs))
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(runner.jobs.finished)
                tasks.start_soon(runner.jobs.finished)


async def test_a_mailbox_that_is_bound_during_a_restart_is_pulled_from_once(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-5, E-2: the broker answers slowly, and meanwhile the actor has ended, or come back."""
    runs: list[int] = []
    declare(system, runs, concurrency=2)
    async with system, Worker(system) as worker, anyio.create_task_group() as tasks:
        gate = slow_to_join(system, monkeypatch, "late")
        gate.close()
        runner = worker.runners["work"]
        tasks.start_soon(runner.bind, LATE)
        await until(lambda: LATE in runner.mailboxes)
        await restart(worker)
        gate.open()
        handles = await system.ref("work.add").options(queue="late").send_many([(n, 1.0) for n in range(10)])
        await anyio.sleep(0.5)
        backlog = await system.client.transport.backlog(LATE.consumer)
        assert backlog is not None
        assert backlog.held == 2
        for handle in handles:
            await handle.result(timeout=60)
    assert sorted(runs) == list(range(10))


async def test_a_mailbox_that_is_bound_while_its_actor_ends_does_no_harm(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-5: it has ended when the broker answers, and has not come back yet."""
    runs: list[int] = []
    starts = 0

    class Work:
        async def setup(self, background: Background) -> None:
            nonlocal starts
            starts += 1
            if starts == 1:
                background.start_soon(self._break)
            else:
                await anyio.sleep(10)

        async def _break(self) -> None:
            await anyio.sleep(1)
            raise ValueError("broken")

        async def add(self, number: int) -> int:
            runs.append(number)
            return number

    system.actor(name="work")(Work)
    async with system, Worker(system) as worker, anyio.create_task_group() as tasks:
        gate = slow_to_join(system, monkeypatch, "late")
        gate.close()
        tasks.start_soon(worker.runners["work"].bind, LATE)
        await until(lambda: starts == 2)
        gate.open()
        assert await system.ref("work.add").options(queue="late").ask(1) == 1
    assert runs == [1]


async def test_an_actor_that_leaves_its_mailboxes_while_it_runs_holds_nothing_in_them(system: ActorSystem) -> None:
    """Interface 3: it came back by itself while others were drained for a reload."""
    runs: list[int] = []
    declare(system, runs, concurrency=4)
    async with system, Worker(system) as worker:
        runner = worker.runners["work"]
        await runner.drain(1)
        await restart(worker)
        await runner.leave()
        await runner.bind(Mailbox("default", 0, "work"))
        await restart(worker)
        for handle in await system.ref("work.add").send_many([(n,) for n in range(8)]):
            await handle.result(timeout=20)


async def test_what_arrives_while_a_pause_meets_a_restart_is_handed_back(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-2: the broker is slow to confirm that nothing more comes, and the actor is to end meanwhile."""
    runs: list[int] = []
    starts = 0

    class Work:
        async def setup(self) -> None:
            nonlocal starts
            starts += 1
            await anyio.sleep(10 * (starts - 1))

        async def add(self, number: int) -> int:
            runs.append(number)
            return number

    system.actor(name="work")(Work)
    async with system:
        gate = slow_to_stop(system, monkeypatch, "default")
        async with Worker(system) as worker, anyio.create_task_group() as tasks:
            gate.close()
            tasks.start_soon(worker.runners["work"].pause, {"default"})
            await anyio.sleep(0.1)
            handle = await system.ref("work.add").send(1)
            worker.supervisor.restart("work")
            await anyio.sleep(1)
            gate.open()
            await until(lambda: starts == 2)
            await worker.runners["work"].pause(set())
            assert await handle.result(timeout=20) == 1
    assert runs == [1]


async def test_a_pause_holds_for_a_mailbox_that_is_just_being_joined(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interface 2: and once it is resumed, its messages come."""
    runs: list[int] = []
    declare(system, runs)
    async with system, Worker(system) as worker, anyio.create_task_group() as tasks:
        gate = slow_to_join(system, monkeypatch, "late")
        gate.close()
        runner = worker.runners["work"]
        tasks.start_soon(runner.bind, LATE)
        await until(lambda: LATE in runner.mailboxes)
        await runner.pause({"late"})
        handle = await system.ref("work.add").options(queue="late").send(1)
        gate.open()
        await anyio.sleep(5)
        assert runs == []
        await runner.pause(set())
        assert await handle.result(timeout=5) == 1


async def test_an_actor_that_had_to_be_cancelled_keeps_nothing_in_its_mailboxes(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G-9: one of its consumers cannot be stopped, so its supervisor goes on without waiting; none takes any more."""
    runs: list[int] = []
    declare(system, runs, concurrency=4)
    async with system:
        gate = slow_to_stop(system, monkeypatch, "default")
        async with Worker(system) as worker:
            await worker.runners["work"].bind(LATE)
            gate.close()
            await restart(worker)
            gate.open()
            await anyio.sleep(40)
            for handle in await system.ref("work.add").options(queue="late").send_many([(n,) for n in range(8)]):
                await handle.result(timeout=20)
    assert sorted(runs) == list(range(8))


async def test_many_failures_at_once_are_one_restart(system: ActorSystem) -> None:
    """F-2: whose messages all count; as one, they exceed no restart intensity."""
    setups, attempts = 0, list[int]()

    class Broken(Exception):
        pass

    class Pool:
        async def setup(self) -> None:
            nonlocal setups
            setups += 1

        async def use(self, number: int) -> int:
            attempts.append(number)
            await anyio.sleep(1)
            if setups == 1:
                raise Broken
            return number

    retry = Retry(restart_on=(Broken,), max_attempts=2, initial="2s", jitter=False)
    system.actor(name="pool", retry=retry, concurrency=50)(Pool)
    async with system, Worker(system) as worker:
        for number, handle in enumerate(await system.ref("pool.use").send_many([(n,) for n in range(50)])):
            assert await handle.result(timeout=60) == number
        assert setups == 2
        assert worker.supervisor.tree()["children"][0]["restarts"] == 1
    assert sorted(attempts) == sorted([*range(50), *range(50)])


async def test_an_idle_actor_with_a_rate_limit_sleeps(system: ActorSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """H-1: while it has turns and nothing comes, nothing is to be done."""
    runs: list[int] = []
    declare(system, runs, rate_limit="5/s", burst=3)
    async with system, Worker(system) as worker:
        pace, looks = worker.runners["work"].jobs.pace, 0
        ready = pace.ready

        def counted() -> float:
            nonlocal looks
            looks += 1
            return ready()

        monkeypatch.setattr(pace, "ready", counted)
        await system.ask("work.add", 1)
        await anyio.sleep(25)
    assert looks < 20


async def test_a_pause_that_is_heard_while_the_register_is_read_stands(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interface 2: an answer from before it does not undo it."""
    declare(system, [])
    async with system:
        register = system.client.register
        gate, paused = Gate(), register.paused

        async def slow(queue: str = "*") -> set[str]:
            read = await paused(queue)
            await gate.passed()
            return read

        monkeypatch.setattr(register, "paused", slow)
        async with Worker(system) as worker:
            (puller,) = worker.runners["work"].pullers
            gate.close()
            await anyio.sleep(31)  # it looks after its mailboxes now
            await register.pause("default", True)
            await until(lambda: puller.paused)
            gate.open()
            await anyio.sleep(1)
            assert puller.paused


class DeafConsumer(SlowConsumer):
    """What arrives stays with it until it is stopped."""

    async def receive(self) -> Sequence[Delivery]:
        await anyio.sleep_forever()
        raise AssertionError("for ever is over")


async def test_what_has_arrived_when_a_worker_stops_is_handed_back_at_once(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E-6: it must not wait for its lease to end."""

    @system.actor
    async def work() -> str:
        return "done"

    async with system:
        transport, consume = system.client.transport, system.client.transport.consume

        async def deaf(spec: ConsumerSpec) -> Consumer:
            return DeafConsumer(await consume(spec), Gate())

        async def held() -> int:
            backlog = await transport.backlog("default~0~work")
            return 0 if backlog is None else backlog.held

        with monkeypatch.context() as patched:
            patched.setattr(transport, "consume", deaf)
            async with Worker(system):
                handle = await work.send()
                with anyio.fail_after(10):
                    while not await held():
                        await anyio.sleep(0.05)
        begun = anyio.current_time()
        async with Worker(system):
            assert await handle == "done"
        assert anyio.current_time() - begun < 1
