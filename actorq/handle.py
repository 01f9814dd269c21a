"""A handle: the claim on a task's outcome, from any process."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, cast

from actorq.cancelling import cancel
from actorq.client import RUNNING, Client, Running, Ticket
from actorq.core.remote import ExceptionRegistry, rebuild
from actorq.errors import DeadLettered, UsageError
from actorq.model.envelope import ErrorInfo, Record

T = TypeVar("T")


class Handle(Generic[T]):
    """One task that was sent. ``await handle`` gives its value or raises what it ended with.

    ``id`` finds it again from any process (``system.handle(id)``). ``duplicate``: it had been sent before.
    """

    __slots__ = ("_client", "_convert", "_ignored", "_registry", "_ticket", "_to", "duplicate")

    def __init__(
        self,
        client: Callable[[], Client],
        ticket: Ticket,
        *,
        registry: ExceptionRegistry,
        convert: Callable[[Any], T] | None = None,
        duplicate: bool = False,
        ignored: bool = False,
        to: str = "",
    ) -> None:
        self._client = client
        self._ticket = ticket
        self._registry = registry
        self._convert = convert
        self._ignored = ignored
        self._to = to
        self.duplicate: bool = duplicate

    @property
    def id(self) -> str:
        return self._ticket.id

    def __repr__(self) -> str:
        return f"<Handle {self.id}>"

    def __await__(self) -> Generator[Any, Any, T]:
        return self.result().__await__()

    def by(self, client: Client) -> Handle[T]:
        """The same claim, made over another connection."""
        return Handle(
            lambda: client, client.ticket(self.id), registry=self._registry, convert=self._convert,
            duplicate=self.duplicate, ignored=self._ignored, to=self._to,
        )  # fmt: skip

    async def result(self, timeout: float | None = None) -> T:
        """Wait for the outcome, at most ``timeout`` seconds; the task's value, or its error raised here.

        Raises TaskError (RemoteError, TimedOut, Cancelled, Expired, ...), ResultTimeout, ResultExpired, UnknownTask,
        or UsageError for a task sent with ``ignore_result``. Cancelling the wait leaves the task alone.
        """
        if self._ignored:
            raise UsageError(f"task {self.id} was sent with ignore_result: it keeps no outcome to await")
        running = RUNNING.get()
        self.refuse_itself(running)
        if running is None:
            record = await self._client().outcome(self._ticket, timeout)
        else:
            running.lend()
            try:
                record = await self._client().outcome(self._ticket, timeout)
            finally:
                await running.reclaim()
        return self._value(record)

    def refuse_itself(self, running: Running | None) -> None:
        """Raise UsageError if the run that is to wait here keeps the task from starting (E-8)."""
        if running is not None and running.alone and self._to.partition(".")[0] == running.envelope.actor:
            raise UsageError(
                f"actor {running.envelope.actor!r} waits for a task of its own, but has a global_concurrency, which it"
                " uses up while it waits: send it, and let another actor wait for it"
            )

    def _value(self, record: Record) -> T:
        if record.state == "succeeded":
            return self._convert(record.value) if self._convert is not None else cast(T, record.value)
        info = record.error or ErrorInfo(type_name="", message=f"task {self.id} is {record.state}", kind=record.state)
        if record.state == "failed" and record.error is None:
            raise DeadLettered(info.message, task_id=self.id)
        raise rebuild(info, self._registry)

    async def status(self) -> str:
        """``scheduled queued running retrying`` or terminal ``succeeded failed cancelled expired``.

        Raises ResultExpired or UnknownTask if there is no trace of the task.
        """
        return await self._client().status(self.id)

    async def cancel(self) -> bool:
        """Cancel the task. True if this ended it; False if it had ended, or been cancelled, before.

        Whoever waits for it gets Cancelled. What has not started is not run; a running async handler is cancelled, a
        sync one has to look (``check_cancelled``, ``ctx.cancelled``), and what it returns no longer counts.
        Raises ResultExpired or UnknownTask if there is no trace of the task, or TransportError.
        """
        return await cancel(self._client(), self.id)
