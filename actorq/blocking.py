"""A client for synchronous callers: views, scripts, shells. Runs its connection on a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

import sniffio
from anyio import from_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from actorq.actor import Address, Call
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
        self._lock = threading.Lock()
        self._pid = 0
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self._refuse_in_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and its thread. The next call connects again."""
        with self._lock:
            stack, self._stack, self._portal, self._client = self._stack, ExitStack(), None, None
            if self._pid == os.getpid():
                stack.close()

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
        return self._submit(actor, [(tuple(args), {}) for args in calls])

    def _submit(self, actor: Any, calls: list[Call]) -> list[Handle[Any]]:
        portal, client = self._open()
        address: Address[..., Any] = self._system.ref(actor) if isinstance(actor, str) else actor
        return portal.call(address.submit_by, client, calls)

    def result(self, handle: Handle[R], timeout: float | None = None) -> R:
        """Wait at most ``timeout`` seconds for a task's value; raises as ``Handle.result``."""
        running = RUNNING.get()
        if running is None:
            return self._await(lambda client: handle.by(client).result(timeout))
        from_thread.run_sync(running.lend)
        try:
            return self._await(lambda client: handle.by(client).result(timeout))
        finally:
            from_thread.run(running.reclaim)

    def status(self, handle: Handle[Any]) -> str:
        """The task's state, as ``Handle.status``."""
        return self._await(lambda client: handle.by(client).status())

    def handle(self, task_id: str) -> Handle[Any]:
        """The handle of a task sent at any time by any process."""
        return self._system.handle_by(lambda: self._open()[1], task_id)

    def _await(self, call: Callable[[Client], Awaitable[R]]) -> R:
        portal, client = self._open()

        async def run() -> R:
            RUNNING.set(None)  # the slot that is lent belongs to another loop than this one
            return await call(client)

        return portal.call(run)

    def _refuse_in_loop(self) -> None:
        try:
            library = sniffio.current_async_library()
        except sniffio.AsyncLibraryNotFoundError:
            return
        raise UsageError(
            f"this thread runs a {library} event loop, which a blocking call would stop: use await instead"
        )

    def _open(self) -> tuple[BlockingPortal, Client]:
        self._refuse_in_loop()
        with self._lock:
            if self._pid != os.getpid():
                # After a fork neither the thread nor its sockets are ours: forget them without a word to the broker.
                self._pid, self._stack, self._portal, self._client = os.getpid(), ExitStack(), None, None
            if self._portal is None or self._client is None:
                portal = self._stack.enter_context(start_blocking_portal())
                opened: AbstractContextManager[Client] = portal.wrap_async_context_manager(self._system.connect())
                self._portal, self._client = portal, self._stack.enter_context(opened)
            return self._portal, self._client
