"""One run of a supervisor: its children's incarnations as tasks, and what ``core.supervision`` decides done to them.

The decisions are made in the body of a task group, one event after the other, and nothing is awaited there but the next
event or the next moment at which something is due. So an order is served at once, whatever the children do. A task
cannot be killed: of one that still runs 5 s after it was cancelled the log tells, its siblings are stopped or restarted
without it, but the run ends only when it has ended, too.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from actorq.core.remote import own_frames
from actorq.core.reporting import failure, line
from actorq.core.restarting import patience
from actorq.core.supervision import (
    Action,
    Ask,
    Cancel,
    Event,
    Exited,
    Ready,
    Report,
    Start,
    State,
    Stop,
    Tick,
    boot,
    step,
    wake_at,
)
from actorq.errors import SupervisionError
from actorq.model.supervision import ChildSpec, SupervisorSpec
from actorq.runtime.boundary import Raised, guarded
from actorq.runtime.seat import Child, Seat

log: logging.Logger = logging.getLogger("actorq.supervisor")

_ERRORS = ("left out", "stuck")


class Incarnations:
    """A supervisor at work. ``state`` is what the last decision left; ``changed`` is set (and replaced) with each.

    ``children`` holds all that may have an incarnation; ``since``: when all had started. ``draw`` gives a random number
    from 0 up to 1.
    """

    def __init__(self, spec: SupervisorSpec, members: dict[str, Child], seat: Seat, draw: Callable[[], float]) -> None:
        self.children: dict[str, Child] = dict(members)
        self.state: State = boot(spec, tuple(patient(child) for child in self.children.values()))
        self.changed: anyio.Event = anyio.Event()
        self.path: str = seat.path
        self.since: float | None = None
        self._members = members
        self._seat = seat
        self._draw = draw
        self._events: list[Event] = []
        self._posted = anyio.Event()
        self.post(Tick())
        self._held: dict[str, tuple[Seat, anyio.CancelScope]] = {}

    async def serve(self) -> None:
        """Run until the state is over and no task is left."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear_stop, name=f"{self.path} stopping")
            while not self.state.over:
                with anyio.CancelScope(deadline=wake_at(self.state, anyio.current_time())):
                    await self._posted.wait()
                self._posted = anyio.Event()
                events, self._events = self._events or [Tick()], []
                for event in events:
                    self._decide(event, tasks)
            tasks.cancel_scope.cancel()

    def post(self, event: Event) -> None:
        """Have an event decided on soon."""
        self._events.append(event)
        self._posted.set()

    async def _hear_stop(self) -> None:
        await self._seat.stopping.wait()
        self.post(Stop())

    def _decide(self, event: Event, tasks: TaskGroup) -> None:
        before = self.state
        self.state, actions = step(before, event, anyio.current_time())
        for action in actions:
            self._act(action, tasks)
        if self.state.booted and self.since is None:
            self.since = anyio.current_time()
            self._seat.started()
        if isinstance(event, Ready):
            self._tell_of_return(event)
        ending = self.state.ending
        if before.ending is None and ending is not None and ending.why == "gave up":
            log.error("%s", failure(self.path, self.state.spec, ending))
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    def _act(self, action: Action, tasks: TaskGroup) -> None:
        match action:
            case Start():
                self._start(action, tasks)
            case Ask(name):
                self._held[name][0].stopping.set()
            case Cancel(name):
                self._held[name][1].cancel()
            case Report():
                if action.what == "left out":
                    self._members.pop(action.name, None)
                level = logging.ERROR if action.what in _ERRORS else logging.WARNING
                known = isinstance(action.error, SupervisionError)  # its supervisor has told all of it already
                text = line(self._path(action.name), action, self.state.spec)
                log.log(level, "%s", text, exc_info=None if known else _traced(action.error))

    def _tell_of_return(self, event: Ready) -> None:
        child = self.state.child(event.name)
        if child is not None and child.generation == event.generation and child.phase == "running" and child.restarts:
            log.info("%s has started again", self._path(event.name))

    def _start(self, start: Start, tasks: TaskGroup) -> None:
        path, generation = self._path(start.name), start.generation
        ready = partial(self.post, Ready(start.name, generation))
        seat = Seat(path, patience=patience(self.state.spec.backoff, start.failures, self._draw()), ready=ready)
        scope = anyio.CancelScope()
        self._held[start.name] = seat, scope
        tasks.start_soon(self._incarnate, self.children[start.name], generation, seat, scope, name=path)

    async def _incarnate(self, child: Child, generation: int, seat: Seat, scope: anyio.CancelScope) -> None:
        error: Exception | None = None
        with scope:
            ended = await guarded(partial(child.run, seat))
            error = _failure(seat, ended.error if isinstance(ended, Raised) else None)
        self.post(Exited(child.spec.name, generation, error, seat.setback))

    def _path(self, name: str) -> str:
        return f"{self.path}/{name}"


def _traced(error: Exception | None) -> tuple[type[Exception], Exception, TracebackType | None] | None:
    """For the log: the error with the user's frames alone."""
    return None if error is None else (type(error), error, own_frames(error.__traceback__))


def patient(child: Child) -> ChildSpec:
    """A child's spec, with the time that it has to stop."""
    return dataclasses.replace(child.spec, stop_timeout=child.longest_stop)


def _failure(seat: Seat, error: BaseException | None) -> Exception | None:
    """What the end of an incarnation means. Raises what is no failure of a child but one of the process (G-10)."""
    if error is None:
        early = not seat.up and not seat.stopping.is_set()
        return SupervisionError(f"{seat.path} ended before it had started", path=seat.path) if early else None
    if isinstance(error, anyio.get_cancelled_exc_class()):
        stray = SupervisionError(f"{seat.path} was cancelled by its own code", path=seat.path)
        stray.__cause__ = error
        return stray
    if not isinstance(error, Exception):
        raise error
    return error
