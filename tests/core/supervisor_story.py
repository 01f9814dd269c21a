"""A supervisor's life, told to the core and to the model side by side."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from actorq.core.restarting import patience
from actorq.core.supervision import (
    Action,
    Add,
    Ask,
    Cancel,
    Configure,
    Event,
    Exited,
    Ready,
    Remove,
    Report,
    Restart,
    Start,
    State,
    Stop,
    Tick,
    boot,
    step,
    wake_at,
)
from actorq.model.supervision import Backoff, ChildSpec, Strategy, SupervisorSpec
from actorq.model.supervision import Restart as Kind
from tests.core.supervisor_model import Model, Said

BACKOFF = Backoff(initial=0.5, factor=2.0, max=4.0, jitter=0.0)
PAUSES = (0.0, 0.25, 0.5, 1.0, 2.25, 5.0, 0.5, 0.25)
STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "rest_for_one", "one_for_all")
KINDS: tuple[Kind, ...] = ("permanent", "transient", "temporary")
BOOM = ValueError("boom")


class Story:
    """One supervisor's life, in the core and in the model side by side; what is wrong is asserted at every step."""

    def __init__(self, spec: SupervisorSpec, children: list[ChildSpec], now: float = 0.0) -> None:
        self.now, self.spec = now, spec
        self.state = boot(spec, tuple(children))
        self.model = Model(spec, children)
        self.live: dict[str, tuple[int, int, float | None]] = {}  # generation, failures, ready since
        self.asked: set[str] = set()
        self.past: list[tuple[str, int]] = []
        self.restarted: list[float] = []
        self.ordered: set[str] = set()
        self.tell(Tick())

    def tell(self, event: Event) -> None:
        """One event to both; the same must follow."""
        before = self.state
        self.state, actions = step(before, event, self.now)
        assert sorted(map(str, map(said, actions))) == sorted(map(str, self.model.due(self.now)))
        for action in actions:
            self._check(before, action)
        assert step(self.state, Tick(), self.now) == (self.state, ())
        assert wake_at(self.state, self.now) > self.now
        assert self.state.over == (self.model.why != "" and not self.model.alive)
        assert self.state.booted == self.model.booted
        if self.state.ending is not None:
            assert self.state.ending.why == self.model.why

    def _check(self, before: State, action: Action) -> None:
        ordered = self.state.ending is not None or self.state.spec.strategy != "one_for_one"
        match action:
            case Start(name, generation, failures):
                assert before.ending is None
                assert self.state.ending is None
                assert name not in self.live
                assert self._spec(name).restart != "temporary" or name in self.ordered or not self._ran(name)
                assert not ordered or not self.asked
                self.ordered.discard(name)
                self.live[name] = generation, failures, None
                self.past.append((name, generation))
            case Ask(name):
                assert name in self.live
                assert not ordered or not self.asked & set(self._after(name))
                self.asked.add(name)
            case Cancel(name):
                assert name in self.asked
            case Report(name, what):
                if what == "stuck":
                    self._gone(name)
                if what == "restarting":
                    self.restarted.append(self.now)
                    window = [at for at in self.restarted if at >= self.now - self.state.spec.within]
                    assert len(window) <= self.state.spec.max_restarts

    def _spec(self, name: str) -> ChildSpec:
        known = self.state.child(name)
        assert known is not None
        return known.spec

    def _ran(self, name: str) -> bool:
        return any(name == other for other, _ in self.past)

    def _after(self, name: str) -> list[str]:
        names = [child.spec.name for child in self.state.children]
        return names[names.index(name) + 1 :] if name in names else []

    def _gone(self, name: str) -> None:
        del self.live[name]
        self.asked.discard(name)

    # ---- what may happen

    def ready(self, index: int) -> None:
        starting = [name for name, (_, _, since) in self.live.items() if since is None]
        if not starting:
            return self.wake(index)
        name = starting[index % len(starting)]
        generation, failures, _ = self.live[name]
        self.live[name] = generation, failures, self.now
        self.model.ready(name, generation, self.now)
        return self.tell(Ready(name, generation))

    def fail(self, index: int) -> None:
        self._exit(self._someone(index), index, BOOM)

    def end(self, index: int) -> None:
        self._exit(self._someone(index), index, None)

    def leave(self, index: int) -> None:
        self._exit(sorted(self.asked), index, None)

    def _someone(self, index: int) -> list[str]:
        """Mostly one that is up: whose first start fails ends the story."""
        up = [name for name, (_, _, since) in self.live.items() if since is not None]
        return sorted(self.live) if index % 16 == 7 else up

    def _exit(self, names: list[str], index: int, error: Exception | None) -> None:
        if not names:
            return self.wait(index)
        name = names[index % len(names)]
        generation, failures, since = self.live[name]
        up = None if since is None else self.now - since
        setback = patience(BACKOFF, failures, 0.7).after(up)
        self._gone(name)
        self.model.ended(name, generation, error is not None, self.now)
        return self.tell(Exited(name, generation, error, setback))

    def late(self, index: int) -> None:
        gone = [place for place in self.past if self.live.get(place[0], (0,))[0] != place[1]]
        if not gone:
            return self.wait(index)
        before, (name, generation) = self.state, gone[index % len(gone)]
        self.tell(Ready(name, generation) if index % 2 else Exited(name, generation, BOOM))
        assert self.state == before
        return None

    def wait(self, index: int) -> None:
        self.now += PAUSES[index % len(PAUSES)]
        self.tell(Tick())

    def wake(self, index: int) -> None:
        at = wake_at(self.state, self.now)
        if at == math.inf:
            return self.wait(index)
        self.now = at
        return self.tell(Tick())

    def remove(self, index: int) -> None:
        if name := self._some_child(index):
            self.model.remove(name)
            self.tell(Remove(name))

    def restart(self, index: int) -> None:
        if name := self._some_child(index):
            self.ordered.add(name)
            self.model.restart(name, self.now)
            self.tell(Restart(name))

    def add(self, index: int) -> None:
        """One more, or one in the place of another, which is possible only where that has ended."""
        name = self._some_child(index) if index % 3 else f"new{len(self.past)}"
        known = self.state.child(name)
        if known is None or known.phase == "ended":
            self.past = [place for place in self.past if place[0] != name]
        spec = ChildSpec(name=name, restart=KINDS[index // 8 % 3], stop_timeout=2.0)
        self.model.add(spec)
        self.tell(Add(spec))

    def configure(self, index: int) -> None:
        spec = replace(self.state.spec, strategy=STRATEGIES[index % 3])
        self.model.spec = spec
        self.tell(Configure(spec))

    def _some_child(self, index: int) -> str:
        names = [child.spec.name for child in self.state.children]
        return names[index % len(names)] if names else ""

    def stop(self, index: int) -> None:
        if index % 4:
            return self.wait(index)
        self.model.stop()
        return self.tell(Stop())

    # ---- how it ends

    def settle(self, behave: Callable[[], bool]) -> None:
        """Everybody does as is expected until nothing is left to do: that must come."""
        for _ in range(200):
            if not behave():
                return
        raise AssertionError(f"never at rest: {self.state}")

    def kindly(self) -> bool:
        if self.asked:
            self.leave(0)
        elif any(since is None for _, _, since in self.live.values()):
            self.ready(0)
        elif wake_at(self.state, self.now) < math.inf:
            self.wake(0)
        else:
            return False
        return True

    def stubbornly(self) -> bool:
        if stays := [name for name in self.asked if self._spec(name).stop_timeout == math.inf]:
            self._exit(stays, 0, BOOM)
        elif wake_at(self.state, self.now) < math.inf:
            self.wake(0)
        else:
            return False
        return True


def said(action: Action) -> Said:
    match action:
        case Start(name, generation, failures):
            return "start", name, generation, failures
        case Ask(name):
            return "ask", name
        case Cancel(name):
            return "cancel", name
        case Report(name, "restarting", _, count, delay):
            return "restarting", name, count, delay
        case Report(name, what):
            return what, name


HAPPENINGS: tuple[Callable[[Story, int], None], ...] = (
    *(Story.ready,) * 8, *(Story.fail,) * 6, *(Story.end,) * 2, *(Story.leave,) * 4, *(Story.wake,) * 4, Story.wait,
    Story.late, Story.restart, Story.remove, Story.add, Story.configure, *(Story.stop,) * 2,
)  # fmt: skip
