"""What a handler may know and do about its own run: the injected Context, and the run as the client sees it."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import anyio
from anyio.lowlevel import EventLoopToken

from actorq.client import RUNNING
from actorq.core.ids import derive_id, origin_of
from actorq.errors import UsageError
from actorq.model.durations import Duration, duration
from actorq.model.envelope import Envelope
from actorq.runtime.slots import Slots

Send = Callable[..., Awaitable[Any]]


class Run:
    """One attempt that is executing: the account for what it sends (C-2) and awaits (E-8).

    ``alone``: its actor is limited over all workers, so that waiting for itself would be for ever. ``began``: when, and
    ``ends_at``: when its time limit is over, on time.monotonic().
    """

    __slots__ = (
        "_calls", "_has_slot", "_over", "_slots", "_stopped", "alone", "began", "ends_at", "envelope", "lent",
        "repeated", "scope", "worker",
    )  # fmt: skip

    def __init__(self, envelope: Envelope, *, repeated: bool, slots: Slots, worker: str, alone: bool = False) -> None:
        self.envelope: Envelope = envelope
        self.alone: bool = alone
        self.repeated: bool = repeated
        self.worker: str = worker
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.began: float = time.monotonic()
        self.ends_at: float = math.inf
        self._stopped = False
        self.lent: int = 0
        self._slots = slots
        self._has_slot = True
        self._over = False
        self._calls: Counter[str] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it is to stop. Callable from any thread, which asking the scope is not."""
        return self._stopped or time.monotonic() >= self.ends_at

    @property
    def over(self) -> bool:
        """Whether the handler has ended."""
        return self._over

    @property
    def home(self) -> EventLoopToken:
        """The worker's event loop, in which slots are lent and reclaimed."""
        return self._slots.home

    def stop(self) -> None:
        """End the run early."""
        self._stopped = True
        self.scope.cancel()

    def child_id(self, actor: str, body: bytes) -> str:
        """The id of a task sent from this run: the same whenever the run is repeated (C-2)."""
        path = f"{actor}:{hashlib.blake2b(body, digest_size=16).hexdigest()}"
        if self._calls is None:
            self._calls = Counter()
        self._calls[path] += 1
        return derive_id(self.envelope.id, f"{path}:{self._calls[path]}", origin_of(self.envelope.id))

    def lend(self) -> None:
        """Free the slot while this run waits for another task. Waiting for several at once lends it once."""
        self.lent += 1
        if self.lent == 1:
            self._slots.lent += 1
            self._let_go()

    async def reclaim(self) -> None:
        """Take the slot again, unless the run still waits elsewhere; returns when it may go on."""
        self.lent -= 1
        if self.lent:
            return
        self._slots.lent -= 1
        await self._slots.resume()
        if self._wants_slot():
            self._has_slot = True
        else:
            self._slots.release()

    def _wants_slot(self) -> bool:
        """Not so if meanwhile it has ended, waits again, or got its slot by another of its tasks."""
        return not (self._over or self.lent or self._has_slot)

    def end(self) -> None:
        """Give the slot back, unless it is lent."""
        self._over = True
        self._let_go()

    def _let_go(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._slots.release()


class Directive(BaseException):
    """What a handler raises to say what becomes of its message. No Exception, so that it is not swallowed by chance."""


class RetryDirective(Directive):
    """Make another attempt. ``delay``: seconds, None: as the policy has it."""

    def __init__(self, delay: float | None) -> None:
        super().__init__("the handler asked for another attempt with ctx.retry()")
        self.delay = delay

    @property
    def cause(self) -> BaseException | None:
        """The error that it was raised from or while it was handled, None if there is none."""
        return self.__cause__ or (None if self.__suppress_context__ else self.__context__)


class SnoozeDirective(Directive):
    """Run it again after ``delay`` seconds; this was no attempt."""

    def __init__(self, delay: float) -> None:
        super().__init__(f"the handler put the task off by {delay:g} s with ctx.snooze()")
        self.delay = delay


class RejectDirective(Directive):
    """Never run it again. Its text is the reason."""


def directive_in(error: BaseException) -> Directive | None:
    """The directive that was raised, also where task groups wrapped it, alone, into a group; None for any other."""
    while isinstance(error, BaseExceptionGroup):
        held = cast("tuple[BaseException, ...]", error.exceptions)
        if len(held) != 1:
            return None
        error = held[0]
    return error if isinstance(error, Directive) else None


class Context:
    """A handler's view of its own run; a parameter annotated ``Context`` receives it.

    ``attempt`` counts from 1 and rises with the retry policy alone; ``generation`` rises when a dead letter is tried
    again. ``state`` is what the system's lifespan gave. ``log`` adds task id, actor and attempt to its records.
    """

    __slots__ = ("_run", "_send", "state")

    def __init__(self, run: Run, *, state: Any, send: Send) -> None:
        self._run = run
        self._send = send
        self.state: Any = state

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger named ``actorq.task.{actor}``."""
        envelope = self._run.envelope
        return logging.LoggerAdapter(
            logging.getLogger(f"actorq.task.{envelope.actor}"),
            {"task_id": envelope.id, "actor": envelope.to, "attempt": envelope.attempt},
        )

    @property
    def id(self) -> str:
        return self._run.envelope.id

    @property
    def root(self) -> str:
        return self._run.envelope.root or self._run.envelope.id

    @property
    def parent(self) -> str | None:
        return self._run.envelope.parent or None

    @property
    def actor(self) -> str:
        return self._run.envelope.to

    @property
    def attempt(self) -> int:
        return self._run.envelope.attempt

    @property
    def generation(self) -> int:
        return self._run.envelope.generation

    @property
    def deadline(self) -> datetime | None:
        """When the root's time is over (aware, UTC), None without one."""
        at = self._run.envelope.deadline
        return None if at is None else datetime.fromtimestamp(at, UTC)

    @property
    def meta(self) -> Mapping[str, Any]:
        return self._run.envelope.meta

    @property
    def cancelled(self) -> bool:
        """True once this run is to stop: its time limit, a shutdown or a lost lease. Threads may poll it."""
        return self._run.cancelled

    def retry(self, delay: Duration | None = None) -> RetryDirective:
        """``raise ctx.retry(delay="5s")``: this attempt has failed, make another one.

        It starts after ``delay``, else after the policy's backoff. After the last attempt the task is a dead letter
        with the error from which (or while handling which) this was raised. Nothing happens if it is not raised.
        Raises ConfigError for what is no duration.
        """
        return RetryDirective(None if delay is None else duration(delay, "ctx.retry: delay"))

    def snooze(self, delay: Duration) -> SnoozeDirective:
        """``raise ctx.snooze("10m")``: run the task again after ``delay``; this was no attempt.

        A task may be put off without end. Nothing happens if it is not raised. Raises ConfigError for what is no
        duration.
        """
        return SnoozeDirective(duration(delay, "ctx.snooze: delay"))

    def reject(self, reason: str) -> RejectDirective:
        """``raise ctx.reject("no such order")``: the task is a dead letter at once.

        Whoever awaits it gets DeadLettered with this text. Nothing happens if it is not raised. Raises UsageError for
        a reason that is no text.
        """
        if not isinstance(reason, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"ctx.reject: the reason is {reason!r}: give a text")
        return RejectDirective(reason)

    async def send(self, to: str, /, *args: Any, **kwargs: Any) -> Any:
        """Send a task by name; gives its Handle. Repeating this run sends the same task, not another one."""
        return await self._send(to, *args, **kwargs)


def current_run() -> Run | None:
    """The run that is executing in this task or thread, None outside a handler."""
    running = RUNNING.get()
    return running if isinstance(running, Run) else None


class RunCancelled(BaseException):
    """Raised in a sync handler whose run is to stop. No Exception, so that handlers do not swallow it by chance."""


def check_cancelled() -> None:
    """In a sync handler: raise RunCancelled if this run is to stop (time limit, shutdown, lost lease).

    Call it at intervals in long loops; outside a handler it does nothing.
    """
    run = current_run()
    if run is not None and run.cancelled:
        raise RunCancelled(f"the run of task {run.envelope.id} is to stop")
