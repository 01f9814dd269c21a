"""The client for synchronous callers (interface 1)."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import anyio.from_thread
import pytest

from actorq import ActorSystem, UsageError, Worker
from tests.spec.conftest import MakeSystem


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return "asyncio"


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
