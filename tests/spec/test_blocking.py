"""The client for synchronous callers (interface 1)."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from actorq import ActorSystem, UsageError, Worker
from tests.spec.conftest import MakeSystem

T = TypeVar("T")


@contextmanager
def serving(system: ActorSystem) -> Generator[None]:
    """A worker on a thread of its own."""
    with anyio.from_thread.start_blocking_portal() as portal, portal.wrap_async_context_manager(Worker(system)):
        yield


def test_a_script_sends_and_waits(make_system: MakeSystem) -> None:
    """Sync callers send, ask, and wait, by actor and by name."""
    theirs, system = make_system(), make_system()

    def add(a: int, b: int) -> int:
        return a + b

    theirs.actor(add)
    local = system.actor(add)
    with serving(theirs), system.blocking() as client:
        assert client.ask(local, 1, 2) == 3
        assert client.ask("add", 3, b=4) == 7
        handles = client.send_many(local, [(i, i) for i in range(20)])
        assert [client.result(handle, timeout=10) for handle in handles] == [2 * i for i in range(20)]
        assert client.status(handles[0]) == "succeeded"
        assert client.result(client.handle(handles[3].id)) == 6


def test_it_is_thread_safe_and_lazy(make_system: MakeSystem) -> None:
    """One client may be kept for the process and used from any thread."""
    theirs, system = make_system(), make_system()

    def double(x: int) -> int:
        return 2 * x

    theirs.actor(double)
    client = system.blocking()
    results: list[int] = []

    def ask(number: int) -> None:
        results.append(client.ask("double", number))

    with serving(theirs):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
        assert client.ask("double", 50) == 100, "a closed client connects again"
        client.close()
    assert sorted(results) == [2 * n for n in range(8)]


@pytest.mark.anyio
async def test_in_a_running_loop_it_is_a_usage_error(system: ActorSystem) -> None:
    """In a thread whose event loop runs, a blocking call says: use await."""
    client = system.blocking()
    with pytest.raises(UsageError, match="await"):
        client.send("anything")
    with pytest.raises(UsageError, match="await"), client:
        pass


async def in_a_foreign_thread(call: Callable[[], T]) -> T:
    """As ``asyncio.to_thread`` does it: a thread that the event loop's library knows nothing of, in our context."""
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(contextvars.copy_context().run, call)
        return await anyio.to_thread.run_sync(result.result)


@pytest.mark.anyio
async def test_beside_an_event_loop_it_is_of_use(system: ActorSystem) -> None:
    """A thread may block, whichever context it was given: its own event loop is what counts."""

    @system.actor
    async def double(x: int) -> int:
        return 2 * x

    client = system.blocking()
    async with Worker(system):
        with anyio.fail_after(30.0):
            assert await in_a_foreign_thread(lambda: client.ask(double, 2)) == 4
            assert await anyio.to_thread.run_sync(lambda: client.ask(double, 3)) == 6
        await anyio.to_thread.run_sync(client.close)


@pytest.mark.anyio
@pytest.mark.parametrize("foreign", [True, False])
async def test_whatever_thread_waits_lends_its_handlers_slot(system: ActorSystem, foreign: bool) -> None:
    """A handler that waits in a thread lends its slot, so its child may be of the same actor (E-8)."""
    client = system.blocking()
    in_a_thread = in_a_foreign_thread if foreign else anyio.to_thread.run_sync

    @system.actor(concurrency=1)
    async def depth(left: int) -> int:
        return 0 if left == 0 else 1 + await in_a_thread(lambda: client.ask("depth", left - 1))

    async with Worker(system):
        with anyio.fail_after(30.0):
            assert await depth.ask(3) == 3
        await anyio.to_thread.run_sync(client.close)


FORKING = """
import os, signal, sys, threading, time
from actorq import ActorSystem

url, name = sys.argv[1:]
used, opening = ActorSystem(name, transport=url), ActorSystem(name, transport="nats://127.0.0.1:1")
clients = used.blocking(), opening.blocking()
assert clients[0].ask("double", 1) == 2
threading.Thread(target=clients[1].send, args=("double", 0), daemon=True).start()
while sum(thread.name.startswith("actorq nats") for thread in threading.enumerate()) < 2:
    time.sleep(0.01)
child = os.fork()
if child == 0:
    signal.alarm(20)
    opening.transport = url
    for client in clients:
        assert client.ask("double", 2) == 4
    sys.exit()
assert os.waitpid(child, 0)[1] == 0, "the child"
assert clients[0].ask("double", 3) == 6
clients[0].close()
"""


@pytest.mark.broker
def test_after_a_fork_it_connects_anew(actorq_nats: str, actorq_name: str) -> None:
    """Parent and child both go on with it, also if the fork came while another thread was just connecting."""
    system = ActorSystem(actorq_name, transport=actorq_nats)
    system.actor(name="double")(_double)
    with serving(system):
        script = [sys.executable, "-c", FORKING, actorq_nats, actorq_name]
        done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _double(x: int) -> int:
    return 2 * x
