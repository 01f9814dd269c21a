"""``--workers N``: a parent that supervises worker processes, by the policy of the supervisor at the root (F, layer 4).

A process that ends by itself in order is replaced; any other end of one is a failure, as of any other child. The
parent runs no actors and does not reach the broker. How its processes hear of it: ``cli.member``.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

import anyio
from anyio.abc import Process, TaskStatus

from actorq.cli.exits import GAVE_UP, OK, Exit
from actorq.cli.member import HURRY, STOP, VARIABLE
from actorq.errors import SupervisionError
from actorq.model.supervision import AutoShutdown, ChildSpec, Restart, SupervisorSpec
from actorq.runtime.channel import Channel
from actorq.runtime.dump import report
from actorq.runtime.seat import Child, Seat
from actorq.runtime.shutdown import Hangup, receiving
from actorq.runtime.supervise import Supervisor

log: logging.Logger = logging.getLogger("actorq.worker")

NAME = "workers"
LAST_WORDS = 1.0
# What a worker may take besides its shutdown timeout: settling, handing back, teardown.
STOP_MARGIN = 20.0


class ProcessEnded(SupervisionError):
    """A worker process failed. ``code``: of its exit; ``said``: why, if it knew."""

    def __init__(self, hand: Hand, path: str = "") -> None:
        super().__init__(f"{hand} {hand.end}{hand.said and f': {hand.said}'}", path=path)
        self.code: int | None = hand.code
        self.said: str = hand.said


@dataclass(frozen=True, slots=True)
class Terms:
    """``spec``: how often processes are restarted. ``patience``: seconds that running tasks have to end in a stop."""

    spec: SupervisorSpec
    patience: float


class Crew:
    """Worker processes ``names``, each started by ``command``, else by the one that started this process.

    ``reread``: gives other terms, at SIGHUP. ``burst``: they end by themselves. ``url``: where they find the broker, if
    not where their own settings say.
    """

    def __init__(
        self,
        names: Sequence[str],
        terms: Terms,
        *,
        reread: Callable[[], Terms | None] = lambda: None,
        burst: bool = False,
        url: str | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self._reread = reread
        self._burst = burst
        self._url = url
        self._command = tuple(command) or (sys.executable, "-m", "actorq", *sys.argv[1:])
        self._hands: dict[str, Hand] = {}
        self._seat = Seat(NAME)
        self._level = 0
        self._stopping = anyio.Event()
        self._patience = terms.patience
        self._left_work = False
        self._failure: Exception | None = None
        self.supervisor: Supervisor = Supervisor(self._own(terms.spec), [self._child(name) for name in names])

    def _own(self, spec: SupervisorSpec) -> SupervisorSpec:
        ends: AutoShutdown = "all" if self._burst else "never"
        return dataclasses.replace(spec, name=NAME, strategy="one_for_one", children=None, auto_shutdown=ends)

    def _child(self, name: str) -> Child:
        kind: Restart = "transient" if self._burst else "permanent"
        # How long a process may take to stop is bounded here, for all at the same time.
        return Child(ChildSpec(name=name, restart=kind, significant=self._burst, stop_timeout=inf), self._serve)

    async def run(self, ready: Callable[[], None]) -> int:
        """Run until a signal, or until the work is done with ``burst``; give the exit code: 0, or 70 (E-3, E-6).

        ``ready`` is called once all are. Raises Exit with a process's own code and words if it cannot start for the
        first time, RestartIntensityExceeded when restarting does not help. Main thread only: it listens to signals.
        """
        self._seat = Seat(NAME, ready=ready)
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._listen)
            try:
                await self.supervisor.run(self._seat)
            except SupervisionError as error:
                self._failure = self._failure or error
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise _told(self._failure)
        return GAVE_UP if self._left_work else OK

    def end(self, error: Exception) -> None:
        """Stop without delay, and have ``run`` raise this."""
        self._failure = error
        self._raise_to(2)
        self._seat.stopping.set()

    # ---- the processes

    async def _serve(self, seat: Seat) -> None:
        """Have a process run, and another after each that ends in order, until told to stop."""
        name = seat.path.rpartition("/")[2]
        while True:
            hand = await Hand.start(name, self._command, self._url)
            await self._attend(hand, seat)
            if self._level:
                return
            if hand.code != OK:
                raise ProcessEnded(hand, seat.path)
            if self._burst:
                return
            log.info("%s ended in order: another one takes its place", hand)

    async def _attend(self, hand: Hand, seat: Seat) -> None:
        self._hands[hand.name] = hand
        hand.stop(self._level)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_with, seat)
                tasks.start_soon(self._bound, hand)
                await hand.attend(seat.started)
                tasks.cancel_scope.cancel()
        finally:
            del self._hands[hand.name]
            if self._level and hand.ready and hand.code != OK:
                self._left_work = True
                log.warning("%s %s as it was to stop", hand, hand.end)

    async def _stop_with(self, seat: Seat) -> None:
        await seat.stopping.wait()
        self._raise_to(1)  # when one is to stop, all are: they drain together

    async def _bound(self, hand: Hand) -> None:
        await self._stopping.wait()
        await anyio.sleep(self._patience + STOP_MARGIN)
        hand.stop(3)

    # ---- signals

    async def _listen(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
        hangup = Hangup()
        if not hangup.ignored:
            numbers.append(signal.SIGHUP)
        with receiving(*numbers) as signals:
            task_status.started()
            async for number in signals:
                if number in (signal.SIGTERM, signal.SIGINT) or hangup.terminal_is_gone:
                    self._stop(number)
                    continue
                if number is signal.SIGUSR1:
                    self._dump()
                elif (terms := self._reread()) is not None:
                    self._patience = terms.patience
                    self.supervisor.configure(self._own(terms.spec))
                for hand in self._hands.values():
                    hand.forward(number)

    def _stop(self, number: signal.Signals) -> None:
        if self._level == 0:
            log.info("stopping (%s)", number.name)
        self._raise_to(self._level + 1)
        self._seat.stopping.set()
        if self._level > 2:
            log.warning("third signal: ending now; messages in progress are left to their leases")
            os._exit(128 + number)

    def _dump(self) -> None:
        tree = self.supervisor.tree()
        for node in tree["children"]:
            hand = self._hands.get(node["name"])
            node["kind"] = "process" if hand is None else f"process {hand.pid}"
        log.warning("SIGUSR1: %s", report(tree, ()))

    def _raise_to(self, level: int) -> None:
        self._level = max(self._level, level)
        self._stopping.set()
        for hand in self._hands.values():
            hand.stop(self._level)


def _told(error: Exception) -> Exception:
    """What to end with. A process that could not start has said so itself, as a worker without a parent would."""
    if not isinstance(error, ProcessEnded):
        return error
    if error.said and error.code is not None:
        return Exit(error.code, error.said)
    return Exit(GAVE_UP, f"{error}, before it was ready")


class Hand:
    """One worker process. ``code``: of its exit, negative: by that signal. ``said``: why it failed, if it knew.

    ``ready``: its mailboxes have been bound.
    """

    def __init__(self, name: str, process: Process, end: socket.socket) -> None:
        self.name = name
        self.code: int | None = None
        self.said: str = ""
        self.ready: bool = False
        self._process = process
        self._socket = end
        self._line = Channel(end)
        self._told = 0
        self._reload_due = False

    def __str__(self) -> str:
        return f"worker process {self.name} (pid {self.pid})"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def end(self) -> str:
        """How it has ended."""
        if self.code is None or self.code >= 0:
            return f"ended with exit code {self.code}"
        return f"was killed by {signal.Signals(-self.code).name}"

    @classmethod
    async def start(cls, name: str, command: Sequence[str], url: str | None) -> Hand:
        """Start it, in a session of its own: Ctrl-C in the terminal is for the parent. ``attend`` has to follow."""
        ours, theirs = Channel.pair()
        try:
            ours.settimeout(0)
            with theirs:
                told = json.dumps({"name": name, "url": url, "line": theirs.fileno()})
                process = await anyio.open_process(
                    command, stdin=subprocess.DEVNULL, stdout=None, stderr=None, env=os.environ | {VARIABLE: told},
                    pass_fds=[theirs.fileno()], start_new_session=True,
                )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        return cls(name, process, ours)

    async def attend(self, started: Callable[[], None]) -> None:
        """Wait until it ends; ``started`` is called when it is ready. If cancelled, it is killed."""
        with self._socket:
            try:
                async with self._process, anyio.create_task_group() as tasks:
                    tasks.start_soon(self._hear, started)
                    await self._process.wait()
                    # Its last words are read to their end, for which a process that it has left behind may keep open.
                    tasks.cancel_scope.deadline = anyio.current_time() + LAST_WORDS
            finally:
                self.code = self._process.returncode

    async def _hear(self, started: Callable[[], None]) -> None:
        while (message := await self._line.get()) is not None:
            match message:
                case ["ready"]:
                    self.ready = True
                    started()
                    if self._reload_due:
                        self._signal(signal.SIGHUP)
                case ["failed", str(text)]:
                    self.said = text
                case _:
                    pass

    def stop(self, level: int) -> None:
        """Have it drain (1), cancel what runs (2), or end now (3). What it has been told it is not told again."""
        if level <= self._told:
            return
        self._told = level
        with suppress(OSError):  # it has ended
            self._line.send(STOP if level == 1 else HURRY)
        if level > 2 or (level > 1 and not self.ready):
            self._signal(signal.SIGKILL)
        elif not self.ready:
            self._signal(signal.SIGTERM)

    def forward(self, number: signal.Signals) -> None:
        """Pass a signal on; to one that is yet to say what it does at signals only SIGHUP, and that once it does."""
        if self.ready:
            self._signal(number)
        else:
            self._reload_due = self._reload_due or number == signal.SIGHUP

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
