"""One attempt in a process of its own, seen from the worker (D-5, E-3): started, watched, stopped, and its end judged.

The other side is ``actorq.isolated``. Its processes are forked from one that has the user's code imported already
(``actorq.runtime.forks``), which starts with the first attempt. Only values come back, never objects.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from actorq.client import RUNNING
from actorq.core.codec import encode_envelope
from actorq.core.delivery import last_delivery, lost_leases
from actorq.core.retrying import backoff, named
from actorq.errors import ConfigError
from actorq.model.envelope import ErrorInfo
from actorq.model.options import NO_LIMIT
from actorq.model.outcome import Again, Done, Failed, HandedBack, Left, Outcome, Snoozed
from actorq.runtime.channel import Channel
from actorq.runtime.classify import cut_short, dead
from actorq.runtime.context import Run
from actorq.runtime.execute import Job, new_run, perform, rebuild, start_clock

if TYPE_CHECKING:
    from actorq.runtime.forkserver import ForkServer

log: logging.Logger = logging.getLogger("actorq.worker")

START_WITHIN = 300.0
"""Seconds in which a process has to be ready for its attempt: lifespan entered, ``setup()`` done."""
START_PAUSE = 2.0
"""Seconds until a message is tried again whose process could not be started."""
GRACE = 1.0
"""Seconds in which a run that was cancelled may still clean up before its process is killed."""
END_WITHIN = 5.0
_KEYS = itertools.count()
_OUTCOMES: dict[str, type[Done | Failed | Again | Snoozed]] = {
    kind.__name__: kind for kind in (Done, Failed, Again, Snoozed)
}


def to_values(outcome: Done | Failed | Again | Snoozed) -> list[Any]:
    """An outcome as it travels between two processes of one worker."""
    values: dict[str, Any] = {field.name: getattr(outcome, field.name) for field in dataclasses.fields(outcome)}
    if "error" in values:
        values["error"] = dataclasses.asdict(values["error"])
    return [type(outcome).__name__, values]


def from_values(name: str, values: dict[str, Any]) -> Outcome:
    """The outcome that ``to_values`` took apart."""
    if "error" in values:
        values["error"] = ErrorInfo(**values["error"])
    return _OUTCOMES[name](**values)


class Isolation:
    """The processes of one worker that each run one attempt. Leaving the ``with`` block ends them all.

    ``setup``: what they are told, see ``actorq.isolation``; or, as text, why there can be none.
    """

    def __init__(self, setup: Mapping[str, Any] | str) -> None:
        self._setup = setup
        self._server: ForkServer | None = None
        self._lock = anyio.Lock()
        self._warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def start(self) -> None:
        """Be ready to fork. Raises ConfigError if that is not possible."""
        async with self._lock:
            await self._started()

    async def _started(self) -> ForkServer:
        if isinstance(self._setup, str):
            raise ConfigError(f"no attempt can have a process of its own: {self._setup}")
        if self._server is not None and not self._server.lives:
            self._server.close()
            self._server = None
        if self._server is None:
            # Only who forks pays for this import.
            from actorq.runtime.forkserver import ForkServer  # noqa: PLC0415

            self._server = await ForkServer.start(self._setup)
        return self._server

    async def fork(self, key: bytes) -> Channel:
        """A new process. Raises ConfigError or OSError."""
        async with self._lock:
            return await (await self._started()).fork(key)

    async def kill(self, key: bytes) -> None:
        """Kill the process ``key`` and what it has started."""
        async with self._lock:
            if self._server is not None:
                with suppress(OSError):  # it has ended, and this one with it
                    await self._server.ask(key)

    async def attempt(self, job: Job) -> Outcome:
        """Run the handler in a process of its own, and hold the worker's own end of it: its slot and its limits."""
        if isinstance(self._setup, str):
            return await self._here(job, self._setup)
        run = job.run = new_run(job, Run)
        run.scope.deadline = anyio.current_time() + START_WITHIN
        job.delivery.keep(math.inf, job.lose)
        child = _Child(self, job, run)
        token = RUNNING.set(run)
        try:
            with run.scope:
                await child.watch()
        finally:
            await child.end()
        RUNNING.reset(token)
        if child.outcome is not None:
            return Left("its lease ran out while it ran") if job.lost else child.outcome
        if run.scope.cancelled_caught and (child.begun or run.cancelled):
            return cut_short(job, abandoned=False)
        return child.crashed()

    async def _here(self, job: Job, why: str) -> Outcome:
        if not self._warned:
            self._warned = True
            log.warning(
                "task %s of %s has its last run in this process, which it may end once more (crash_budget): %s",
                job.envelope.id, job.envelope.to, why,
            )  # fmt: skip
        return rebuild(job) or await perform(job, new_run(job, Run))


class _Child:
    """One process, from before its start until after its end."""

    def __init__(self, isolation: Isolation, job: Job, run: Run) -> None:
        self.begun = False
        self.outcome: Outcome | None = None
        self._isolation = isolation
        self._job = job
        self._run = run
        self._key = b"%d" % next(_KEYS)
        self._channel: Channel | None = None
        self._end: str | None = None

    async def watch(self) -> None:
        """Have it made, tell it what to do, and listen until there is an outcome or it has ended."""
        try:
            self._channel = await self._isolation.fork(self._key)
        except (ConfigError, OSError) as error:
            self._end = str(error)
            return
        await self._channel.put(*self._order())
        async with anyio.create_task_group() as tasks:
            while self.outcome is None and self._end is None:
                self._take(await self._channel.get(), self._channel, tasks)
            tasks.cancel_scope.cancel()

    def _order(self) -> Sequence[Any]:
        job = self._job
        # The worker holds the time limit; and its policy is the one that counts, whatever the code says.
        envelope = replace(job.envelope, time_limit=NO_LIMIT, retry=named(job.retry))
        limit = job.target.policy.global_concurrency
        return job.target.name, encode_envelope(envelope), job.delivery.deliveries, job.engine.worker, limit

    def _take(self, message: list[Any] | None, channel: Channel, tasks: TaskGroup) -> None:
        match message:
            case ["log", fields]:
                _log(fields)
            case ["begun"]:
                self.begun = True
                start_clock(self._job, self._run)
            case ["lend"]:
                self._run.lend()
            case ["reclaim", number]:
                tasks.start_soon(self._reclaim, number, channel)
            case ["outcome", name, values]:
                self.outcome = from_values(name, values)
            case ["ended", how]:
                self._end = how
            case _:
                self._end = ""

    async def _reclaim(self, number: int, channel: Channel) -> None:
        await self._run.reclaim()
        await channel.put("go", number)

    async def end(self) -> None:
        """Wait until it has ended; see to it that it does."""
        job = self._job
        if self._run.lent:  # it will not reclaim its slot any more
            self._run.lent = 0
            job.slots.lent -= 1
        if self._channel is None:
            return
        if not job.lost:
            limit = 2 * END_WITHIN + job.engine.stop_timeout
            job.ends_at = time.monotonic() + limit
            job.delivery.keep(limit, job.lose)
        try:
            with anyio.move_on_after(await self._patience(self._channel)):
                await self._ended(self._channel)
            if self._end is None:
                await self._isolation.kill(self._key)
                with anyio.move_on_after(END_WITHIN):
                    await self._ended(self._channel)
        finally:
            self._channel.close()

    async def _patience(self, channel: Channel) -> float:
        """Seconds that it may still take, by how far it has come."""
        if self.outcome is not None:
            return END_WITHIN
        if not self.begun:
            return 0
        await channel.put("stop")
        return GRACE

    async def _ended(self, channel: Channel) -> None:
        while self._end is None:
            match await channel.get():
                case ["log", fields]:
                    _log(fields)
                case ["ended", how]:
                    self._end = how
                case None:
                    self._end = ""
                case _:
                    pass

    def crashed(self) -> Outcome:
        """What becomes of a message whose process ended without a word on it."""
        job = self._job
        task_id, actor = job.envelope.id, job.envelope.to
        if not (self.begun and self._end):
            # Whoever is to blame, it is not this message.
            why = self._end or f"not ready within {START_WITHIN:g} s, or lost with the one that forks"
            log.error("task %s of %s: no process for it (%s); next in %g s", task_id, actor, why, START_PAUSE)
            return HandedBack(START_PAUSE)
        if last_delivery(job.envelope, job.delivery.deliveries, job.engine.crash_budget):
            return dead(job, "crash_loop", f"its last run, in a process of its own, ended that process ({self._end})")
        delay = backoff(job.retry, 1 + lost_leases(job.envelope, job.delivery.deliveries))
        log.warning("task %s of %s: its process ended (%s); next in %g s", task_id, actor, self._end, delay)
        return HandedBack(delay, lost=True)


def _log(fields: dict[str, Any]) -> None:
    record = logging.makeLogRecord(fields)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
