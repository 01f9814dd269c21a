"""Children that do as they are told, and a diary of what they did."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from actorq.errors import SupervisionError
from actorq.model.supervision import ROOT, ChildSpec, SupervisorSpec
from actorq.runtime.supervise import Child, Seat, Supervisor, nested
from actorq.testing import wait_until


class Actor:
    """A child. ``setups``: an error, or None, for each of its first starts; ``slow``: seconds that a start takes.

    ``deaf``: it does not hear that it is to stop; ``clings``: seconds that it goes on after it was cancelled.
    """

    def __init__(
        self,
        diary: list[str],
        name: str,
        *,
        setups: tuple[BaseException | None, ...] = (),
        slow: float = 0.0,
        deaf: bool = False,
        clings: float = 0.0,
        **spec: Any,
    ) -> None:
        self.child: Child = Child(ChildSpec(name=name, **spec), self.run)
        self.name, self.slow, self.deaf, self.clings = name, slow, deaf, clings
        self.setups = list(setups)
        self.seats: list[Seat] = []
        self.backoffs: list[float] = []
        self.ups: list[float] = []
        self._diary = diary

    async def run(self, seat: Seat) -> None:
        self.seats.append(seat)
        self._told, self._error = anyio.Event(), None
        try:
            await anyio.sleep(self.slow)
            if self.setups and (error := self.setups.pop(0)) is not None:
                self._diary.append(f"!{self.name}")
                raise error
            self._diary.append(f"+{self.name}")
            self.ups.append(anyio.current_time())
            seat.started()
            await self._until_told(seat)
        finally:
            if self.clings:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(self.clings)
            if seat.up:
                self._diary.append(f"-{self.name}")

    async def _until_told(self, seat: Seat) -> None:
        async def hear() -> None:
            await seat.stopping.wait()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            if not self.deaf:
                tasks.start_soon(hear)
            await self._told.wait()
            tasks.cancel_scope.cancel()
        if self._error is not None:
            self.backoffs.append(seat.backoff)
            raise self._error

    def fail(self, error: BaseException | None = None) -> None:
        self._error = error or ValueError("boom")
        self._told.set()

    def end(self) -> None:
        self._told.set()

    _error: BaseException | None


class Stage:
    """``diary``: "+a" is up, "-a" is gone, "!a" could not start. ``error``: with what the supervisor gave up."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.error: SupervisionError | None = None
        self.over: bool = False

    def actor(self, name: str, **how: Any) -> Actor:
        return Actor(self.diary, name, **how)

    def supervisor(self, *members: Actor | Supervisor, name: str = ROOT, **spec: Any) -> Supervisor:
        children = [member.child if isinstance(member, Actor) else nested(member) for member in members]
        return Supervisor(SupervisorSpec(name=name, **spec), children, draw=lambda: 0.5)

    async def run(self, supervisor: Supervisor, seat: Seat) -> None:
        """Run to the end; then no task of it is left."""
        try:
            await supervisor.run(seat)
        except SupervisionError as error:
            self.error = error
        self.over = True
        assert [task.name for task in anyio.get_running_tasks() if str(task.name).startswith(ROOT)] == []

    @asynccontextmanager
    async def running(self, supervisor: Supervisor) -> AsyncGenerator[Seat]:
        """Started with all its children; stopped in order at the end, if it is not over by then."""
        seat = Seat()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run, supervisor, seat)
            await wait_until(lambda: seat.up or self.over, description="the supervisor is up")
            yield seat
            seat.stopping.set()

    async def until(self, *entries: str, within: float = 10.0) -> None:
        """Wait until the diary has just these new entries, and forget them."""
        await wait_until(
            lambda: len(self.diary) >= len(entries), timeout=within, description=f"{entries} in {self.diary}"
        )
        assert self.diary == list(entries)
        self.diary.clear()

    async def ended(self, within: float = 30.0) -> None:
        """Wait until the supervisor is over."""
        await wait_until(lambda: self.over, timeout=within, description="the supervisor is over")
