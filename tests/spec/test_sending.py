"""Sending: semantics A-2 to A-5, C-2, C-3, D-7."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from actorq import (
    ActorSystem,
    Context,
    InvalidArguments,
    InvalidName,
    PayloadTooLarge,
    UsageError,
    Worker,
    WorkerOptions,
)
from actorq.model.address import Mailbox
from actorq.testing import wait_until
from tests.spec.conftest import MakeSystem

pytestmark = pytest.mark.anyio


class Colour(Enum):
    RED = "red"


@dataclass
class Order:
    id: UUID
    price: Decimal
    colour: Colour


def adder(system: ActorSystem) -> Any:
    @system.actor
    async def add(a: int, b: float = 1) -> float:
        return a + b

    return add


async def test_a_direct_call_runs_the_plain_function(system: ActorSystem) -> None:
    """A-2: calling a declared actor runs it here and now, without any broker."""
    assert await adder(system)(1, 2) == 3


async def test_ask_gives_the_value(system: ActorSystem) -> None:
    """A-3: ask() sends, awaits and gives the value."""
    add = adder(system)
    async with system, Worker(system):
        assert await add.ask(1, 2) == 3
        assert await add.ask(a=1) == 2
        handle = await add.send(3, b=4)
        assert await handle == 7
        assert await handle == 7


async def test_a_task_sent_without_any_worker_waits(system: ActorSystem) -> None:
    """A-5: a message whose actor nobody serves waits; a worker that starts later runs it."""
    add = adder(system)
    async with system:
        handle = await add.send(1, 2)
        assert await handle.status() == "queued"
        async with Worker(system):
            assert await handle == 3


async def test_by_name_without_the_code(make_system: MakeSystem) -> None:
    """A-5: who knows the name can send; the queue comes from the register."""
    serving, asking = make_system(), make_system()

    @serving.actor(queue="maths")
    def double(x: int) -> int:
        return 2 * x

    async with asking, Worker(serving):
        assert await asking.ask("double", 21) == 42
        assert await (await asking.send("double", x=4)) == 8


async def test_a_queue_given_for_one_call_is_found_by_running_workers(make_system: MakeSystem) -> None:
    """A-5: a worker binds every registered mailbox of its actors, also those that senders register later."""
    system = make_system()
    add = adder(system)
    async with system, Worker(system):
        assert await add.ask(0) == 1
        assert await add.options(queue="elsewhere").ask(1, 2) == 3


async def test_a_worker_serves_only_its_queues(system: ActorSystem) -> None:
    """A-5: -Q limits which mailboxes are bound; the rest waits."""
    add = adder(system)
    async with system:
        elsewhere = await add.options(queue="other").send(1, 2)
        async with Worker(system, WorkerOptions(queues=("default",))):
            assert await add.ask(1) == 2
            assert await elsewhere.status() == "queued"
        async with Worker(system, WorkerOptions(queues=("other",))):
            assert await elsewhere == 3


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "'a'"),
        ((1, 2, 3), {}, "add"),
        ((1,), {"c": 3}, "'c'"),
        (("one",), {}, "int"),
        ((1, "2"), {}, "float"),
        ((1.5,), {}, "int"),
    ],
)
async def test_wrong_arguments_are_refused_at_the_sender(
    system: ActorSystem, args: tuple[Any, ...], kwargs: dict[str, Any], says: str
) -> None:
    """A-4: arguments that do not fit are an error to the caller; nothing is published."""
    add = adder(system)
    async with system:
        with pytest.raises(InvalidArguments, match=says):
            await add.send(*args, **kwargs)
        assert await system.client.transport.get(system.namespace.prefix + ".t.*.*.*.*") is None


async def test_arguments_keep_their_types(system: ActorSystem) -> None:
    """C-1: values travel as what they are, and are rebuilt from the handler's annotations."""

    seen: list[Any] = []

    @system.actor
    async def keep(order: Order, at: datetime, wait: timedelta, raw: bytes, tags: set[str], pair: Any) -> Order:
        seen.append((order, at, wait, raw, tags, pair))
        return order

    order = Order(uuid4(), Decimal("1.10"), Colour.RED)
    rest = (datetime.now(UTC), timedelta(seconds=1.5), b"\x00\xff", {"a", "b"}, (1, ("x", None)))
    async with system, Worker(system):
        assert await keep.ask(order, *rest) == order
    assert seen == [(order, *rest)]


async def test_many_at_once(system: ActorSystem) -> None:
    """D-7: send_many pipelines; every handle gives its own value."""
    add = adder(system)
    async with system, Worker(system):
        handles = await add.send_many([(i, i) for i in range(300)])
        assert [await handle for handle in handles] == [2 * i for i in range(300)]


async def test_a_given_task_id_is_sent_once(system: ActorSystem) -> None:
    """H-6: the same task_id again is the same task, while its copy waits and when it has just ended."""
    runs: list[int] = []

    @system.actor
    async def note(x: int) -> int:
        runs.append(x)
        return x

    async with system:
        first = await note.options(task_id="invoice-7").send(1)
        again = await note.options(task_id="invoice-7").send(2)
        assert (first.id, first.duplicate) == ("invoice-7", False)
        assert (again.id, again.duplicate) == ("invoice-7", True)
        async with Worker(system):
            assert await again == 1
            assert await system.handle("invoice-7") == 1
            ended = await note.options(task_id="invoice-7").send(3)
            assert (await ended, ended.duplicate) == (1, True)
    assert runs == [1]


async def test_ignore_result_keeps_nothing_to_await(system: ActorSystem) -> None:
    """A-3: awaiting a task sent with ignore_result is a UsageError at once."""
    ran = anyio.Event()

    @system.actor
    async def quiet() -> None:
        ran.set()

    async with system, Worker(system):
        handle = await quiet.options(ignore_result=True).send()
        with pytest.raises(UsageError, match="ignore_result"):
            await handle
        await ran.wait()


async def test_a_message_above_the_limit_is_refused(system: ActorSystem) -> None:
    """C-3: too large is an error at the sender, naming size, limit and what to do."""

    @system.actor
    async def take(data: bytes) -> int:
        return len(data)

    async with system, Worker(system):
        with pytest.raises(PayloadTooLarge, match="reference") as caught:
            await take.send(bytes(600_000))
        assert caught.value.size > caught.value.limit == 512 * 1024
        assert await take.ask(bytes(500_000)) == 500_000


async def test_a_delayed_task_is_not_early(system: ActorSystem) -> None:
    """J-1: delay and eta are held by the broker; never early."""
    add = adder(system)
    async with system, Worker(system):
        started = system.client.transport.now()
        handle = await add.options(delay="1s").send(1, 2)
        assert await handle.status() == "scheduled"
        by_eta = await add.options(eta=datetime.now(UTC) + timedelta(seconds=1)).send(2, 2)
        assert await handle == 3
        assert await by_eta == 4
        assert system.client.transport.now() - started >= 1.0


async def test_options_are_checked(system: ActorSystem) -> None:
    """Bad input: unknown keys and naive times are errors that name the key."""
    add = adder(system)
    with pytest.raises(UsageError, match="prioriti"):
        add.options(prioriti=3)
    with pytest.raises(UsageError, match="time zone"):
        add.options(eta=datetime(2030, 1, 1))  # noqa: DTZ001
    with pytest.raises(UsageError, match="concurency"):
        system.actor(concurency=3)(adder)
    with pytest.raises(InvalidName, match="A-Z"):
        system.actor(name="no spaces")(adder)


async def test_two_actors_of_one_name(system: ActorSystem) -> None:
    """Bad input: the second declaration is refused, and both places are named."""
    adder(system)
    with pytest.raises(UsageError, match=r"two actors named 'add'.*test_sending\.py:\d+.*test_sending\.py:\d+"):
        adder(system)


async def test_what_a_handler_sends_is_its_child(system: ActorSystem) -> None:
    """C-1, C-2: a child names its parent, inherits metadata, and has an id of its own for each send."""

    @system.actor
    async def child(ctx: Context, x: int) -> tuple[str | None, str, Any]:
        return ctx.parent, ctx.id, ctx.meta["tenant"]

    @system.actor
    async def parent(ctx: Context) -> list[Any]:
        one, two = await child.send(1), await child.send(1)
        return [ctx.id, await one, await two]

    async with system, Worker(system):
        me, one, two = await parent.options(meta={"tenant": "t1"}).ask()
        assert one[0] == two[0] == me
        assert one[2] == two[2] == "t1"
        assert len({me, one[1], two[1]}) == 3


async def test_outside_the_system_is_a_usage_error(system: ActorSystem) -> None:
    """Using a system that is not connected says how to connect it; it may be entered again later."""
    add = adder(system)
    with pytest.raises(UsageError, match="async with"):
        await add.send(1)
    for _ in range(2):
        async with system, Worker(system):
            assert await add.ask(1) == 2


async def test_a_waiter_is_told_why_nothing_happens(
    system: ActorSystem, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E-7: after a while a waiter logs once that nobody serves the mailbox."""
    monkeypatch.setattr("actorq.client.NOTICE_AFTER", 0.1)
    monkeypatch.setattr("actorq.client.FIRST_LOOK", 0.2)
    add = adder(system)
    caplog.set_level(logging.WARNING, "actorq.client")
    async with system, anyio.create_task_group() as tasks:
        handle = await add.send(1)
        tasks.start_soon(handle.result)
        await wait_until(lambda: "no running worker serves" in caplog.text, description="the notice")
        async with Worker(system):
            await handle


async def test_send_many_takes_tuples(system: ActorSystem) -> None:
    """Bad input: a text is no tuple of arguments, though it is a sequence."""
    add = adder(system)
    async with system:
        with pytest.raises(UsageError, match="tuple"):
            await add.send_many(["a", "b"])


async def test_a_home_is_registered_although_a_sender_was_faster(make_system: MakeSystem) -> None:
    """A-5: a worker's home record stands in the end, whoever registered the mailbox first, and when."""
    serving, asking = make_system(), make_system()

    @serving.actor(queue="maths")
    def double(x: int) -> int:
        return 2 * x

    async with serving, asking:
        home = Mailbox("maths", 0, "double")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asking.client.register.ensure, home)
            tasks.start_soon(serving.client.register.announce, home, {"lanes": 1})
        assert await asking.client.register.home("double") == home


async def test_a_task_id_is_free_again_when_its_record_is_gone(system: ActorSystem) -> None:
    """H-6: a given id behaves as a key does: it names the same task as long as that has a copy or a record."""
    runs: list[int] = []

    @system.actor(result_ttl="1s")
    async def note(x: int) -> int:
        runs.append(x)
        return x

    async with system, Worker(system):
        assert await note.options(task_id="daily").ask(1) == 1

        async def gone() -> bool:
            return await system.client.record("daily") is None

        await wait_until(gone, description="its record is gone")
        assert await note.options(task_id="daily").ask(2) == 2
    assert runs == [1, 2]
