"""A client for synchronous callers: views, scripts, shells. Runs its connection on a thread of its own."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

import anyio
from anyio import from_thread
from anyio.from_thread import BlockingPortal
from anyio.lowlevel import current_token

from actorq.actor import Address, Call, several
from actorq.client import RUNNING, Client
from actorq.errors import UsageError
from actorq.handle import Handle

if TYPE_CHECKING:
    from actorq.system import ActorSystem

P = ParamSpec("P")
R = TypeVar("R")


class BlockingClient:
    """Sends and awaits from synchronous code. Connects at the first use; thread-safe; connects anew after a fork.

    Use it in a ``with`` block, or keep it for the life of the process and ``close`` it at the end. In a thread whose
    event loop is running every call is a UsageError: use ``await`` there.
    """

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._thread = _LoopThread(system)
        _THREADS.add(self._thread)

    def __enter__(self) -> Self:
        _refuse_in_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and its thread. The next call connects again."""
        self._thread.close()

    @overload
    def send(self, actor: Address[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    def send(self, actor: str, /, *args: Any, **kwargs: Any) -> Handle[Any]: ...
    def send(self, actor: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Send one task; the broker has confirmed it when this returns. Raises as ``Address.send``."""
        return self._submit(actor, [(args, kwargs)])[0]

    @overload
    def ask(self, actor: Address[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def ask(self, actor: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def ask(self, actor: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Send one task and wait for its value. Raises as ``Address.send`` and ``Handle.result``."""
        return self.result(self._submit(actor, [(args, kwargs)])[0])

    def send_many(self, actor: Address[..., R] | str, calls: Iterable[Sequence[Any]]) -> list[Handle[R]]:
        """Send one task for each tuple of arguments, pipelined."""
        return self._submit(actor, several(calls))

    def _submit(self, actor: Any, calls: list[Call]) -> list[Handle[Any]]:
        portal, client = self._open()
        address: Address[..., Any] = self._system.ref(actor) if isinstance(actor, str) else actor
        return portal.call(address.submit_by, client, calls)

    def result(self, handle: Handle[R], timeout: float | None = None) -> R:
        """Wait at most ``timeout`` seconds for a task's value; raises as ``Handle.result``."""
        running = RUNNING.get()
        handle.refuse_itself(running)
        if running is None:
            return self._await(lambda client: handle.by(client).result(timeout))
        # This thread may be one that the event loop of the run has not started itself.
        from_thread.run_sync(running.lend, token=running.home)
        try:
            return self._await(lambda client: handle.by(client).result(timeout))
        finally:
            from_thread.run(running.reclaim, token=running.home)

    def status(self, handle: Handle[Any]) -> str:
        """The task's state, as ``Handle.status``."""
        return self._await(lambda client: handle.by(client).status())

    def cancel(self, handle: Handle[Any]) -> bool:
        """Cancel the task, as ``Handle.cancel``."""
        return self._await(lambda client: handle.by(client).cancel())

    def handle(self, task_id: str) -> Handle[Any]:
        """The handle of a task sent at any time by any process."""
        return self._system.handle_by(lambda: self._open()[1], task_id)

    def _await(self, call: Callable[[Client], Awaitable[R]]) -> R:
        portal, client = self._open()

        async def run() -> R:
            RUNNING.set(None)  # the slot that is lent belongs to another loop than this one
            return await call(client)

        return portal.call(run)

    def _open(self) -> tuple[BlockingPortal, Client]:
        _refuse_in_loop()
        return self._thread.open()


class _LoopThread:
    """A thread with an event loop and a connection in it, both made at the first use."""

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._portal: BlockingPortal | None = None
        self._client: Client | None = None

    def open(self) -> tuple[BlockingPortal, Client]:
        with self._lock:
            if self._portal is None:
                self._portal = self._start()
            if self._client is None:
                self._client = self._portal.call(self._system.open_client)
            return self._portal, self._client

    def _start(self) -> BlockingPortal:
        # Not anyio's start_blocking_portal: that is a generator, which calls its thread when it is dropped. In a child
        # process there is none, and the call would never return (test_after_a_fork_it_connects_anew).
        started: Future[BlockingPortal] = Future()

        async def serve() -> None:
            async with BlockingPortal() as portal:
                started.set_result(portal)
                await portal.sleep_until_stopped()

        def run() -> None:
            try:
                anyio.run(serve)
            finally:
                started.cancel()  # of no effect, unless there was no starting

        self._thread = threading.Thread(target=run, name="actorq blocking client", daemon=True)
        self._thread.start()
        return started.result()

    def close(self) -> None:
        with self._lock:
            thread, portal, client = self._thread, self._portal, self._client
            self._thread = self._portal = self._client = None
            if client is not None and portal is not None:
                portal.call(self._system.close_client, client)
            if thread is not None and portal is not None:
                portal.call(portal.stop)
                thread.join()

    def forget(self) -> None:
        """After a fork neither the thread nor its sockets are ours: not a word to the broker. Nor is the lock."""
        self._lock = threading.Lock()
        self._thread = self._portal = self._client = None


def _refuse_in_loop() -> None:
    try:
        current_token()
    except RuntimeError:  # no event loop runs in this thread, though a context may have been copied from one that does
        return
    raise UsageError("this thread runs an event loop, which a blocking call would stop: use await instead")


def _forget_all() -> None:
    for thread in _THREADS:
        thread.forget()


_THREADS: weakref.WeakSet[_LoopThread] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
