"""How a supervisor behaves, told once more and differently: lists of names, no phases, written from OTP's rules.

Everything is kept by name in plain collections and looked up afresh; the log of restarts is never shortened.
"""

from __future__ import annotations

from actorq.model.supervision import ChildSpec, SupervisorSpec

Said = tuple[object, ...]


class Model:
    """Give it what happens and the time; it says what is to be done, as tuples."""

    def __init__(self, spec: SupervisorSpec, children: list[ChildSpec]) -> None:
        self.spec = spec
        self.specs = {child.name: child for child in children}
        self.order = [child.name for child in children]
        self.wanted: set[str] = set(self.order)  # to be started as soon as that may be
        self.unwanted: set[str] = set()  # to be stopped
        self.forgotten: set[str] = set()  # to be stopped for good, by order
        self.alive: dict[str, int] = {}
        self.up: dict[str, float] = {}
        self.novices = set(self.order)  # never up so far
        self.earliest: dict[str, float] = {}
        self.strikes = dict.fromkeys(self.order, 0)
        self.asked: dict[str, float] = {}
        self.killed: dict[str, float] = {}
        self.log: list[float] = []
        self.incarnations = 0
        self.booted = False
        self.why = ""
        self.said: list[Said] = []

    # ---- what happens

    def ready(self, name: str, incarnation: int, now: float) -> None:
        if self.alive.get(name) == incarnation and name not in self.unwanted and name not in self.up:
            self.up[name] = now
            self.novices.discard(name)

    def ended(self, name: str, incarnation: int, failed: bool, now: float) -> None:
        if self.alive.get(name) != incarnation:
            return
        since = self.up.get(name)
        if name in self.unwanted:
            if failed:
                self.said.append(("failed stopping", name))
            self._has_stopped(name)
            return
        self._is_gone(name)
        kind = self.specs[name].restart
        if since is None and name in self.novices:
            self._first_start_failed(name)
        elif kind == "permanent" or (kind == "transient" and (failed or since is None)):
            self._strike(name, since, now)
        else:
            if failed or since is None:
                self.said.append(("ended", name))
            self._significant_end(name)

    def stop(self, why: str = "stopped") -> None:
        if not self.why:
            self.why = why
            self.wanted.clear()
            self.unwanted = set(self.alive)

    def restart(self, name: str, now: float) -> None:
        if self.why or name not in self.order or name in self.forgotten:
            return
        self.earliest[name] = now
        self.wanted.add(name)
        if name in self.alive:
            self.unwanted.add(name)

    def remove(self, name: str) -> None:
        if self.why or name not in self.order:
            return
        self.wanted.discard(name)
        if name in self.alive:
            self.unwanted.add(name)
            self.forgotten.add(name)
        else:
            self._forget(name)

    def add(self, child: ChildSpec) -> None:
        name = child.name
        if self.why or name in self.alive or name in self.wanted:
            return
        if name in self.order:
            self._forget(name)
        self.order.append(name)
        self.specs[name] = child
        self.wanted.add(name)
        self.novices.add(name)
        self.strikes[name] = 0

    # ---- what follows

    def _is_gone(self, name: str) -> None:
        self.unwanted.discard(name)
        del self.alive[name]
        for times in (self.up, self.asked, self.killed):
            times.pop(name, None)

    def _has_stopped(self, name: str) -> None:
        self._is_gone(name)
        if name in self.forgotten:
            self._forget(name)
        elif name not in self.wanted:
            self.novices.discard(name)

    def _forget(self, name: str) -> None:
        self.order.remove(name)
        self.forgotten.discard(name)
        self.novices.discard(name)
        self.earliest.pop(name, None)

    def _first_start_failed(self, name: str) -> None:
        if self.booted:
            self.said.append(("left out", name))
            self._forget(name)
        else:
            self.stop("not started")

    def _strike(self, name: str, since: float | None, now: float) -> None:
        backoff = self.spec.backoff
        if since is not None and now - since >= (backoff.initial + backoff.max) / 2:
            self.strikes[name] = 0
        delay = min(backoff.max, backoff.initial * backoff.factor ** self.strikes[name])
        self.strikes[name] += 1
        self.log.append(now)
        count = sum(1 for at in self.log if now - self.spec.within <= at)
        if count > self.spec.max_restarts:
            self.stop("gave up")
            return
        self.said.append(("restarting", name, count, delay))
        self.wanted.add(name)
        self.earliest[name] = now + delay
        place = self.order.index(name)
        concerned = {"one_for_one": [], "rest_for_one": self.order[place + 1 :], "one_for_all": self.order}
        for other in concerned[self.spec.strategy]:
            if other in self.alive and other not in self.unwanted:
                self.unwanted.add(other)
                if self.specs[other].restart != "temporary":
                    self.wanted.add(other)

    def _significant_end(self, name: str) -> None:
        others = [other for other in self.order if other in self.alive or other in self.wanted]
        left = any(self.specs[other].significant for other in others)
        if self.specs[name].significant and (
            self.spec.auto_shutdown == "any" or (self.spec.auto_shutdown == "all" and not left)
        ):
            self.stop("done")

    # ---- what is due

    def due(self, now: float) -> list[Said]:
        """What is to be done now, and what was said since the last time."""
        while self._time_is_over(now) or self._someone_to_ask(now) or self._someone_to_start(now):
            pass
        if not self.why and not self.novices:
            self.booted = True
        said, self.said = self.said, []
        return said

    def _time_is_over(self, now: float) -> bool:
        for name in self.order:
            if name in self.killed:
                if now >= self.killed[name] + 5.0:
                    self.said.append(("stuck", name))
                    self._has_stopped(name)
                    return True
            elif name in self.asked and now >= self.asked[name] + self.specs[name].stop_timeout:
                self.killed[name] = now
                self.said.append(("cancel", name))
                return True
        return False

    def _someone_to_ask(self, now: float) -> bool:
        leaving = [name for name in reversed(self.order) if name in self.unwanted]
        if self.why or self.spec.strategy != "one_for_one":
            leaving = leaving[:1]
        for name in leaving:
            if name not in self.asked:
                self.asked[name] = now
                self.said.append(("ask", name))
                return True
        return False

    def _someone_to_start(self, now: float) -> bool:
        if self.why:
            return False
        waiting = [name for name in self.order if name in self.wanted and name not in self.alive]
        on_time = [name for name in waiting if now >= self.earliest.get(name, 0.0)]
        if self.spec.strategy == "one_for_one":
            candidates = [name for name in on_time if name not in self.novices or not self._novice_before(name)]
        elif self.unwanted or (self.spec.strategy == "one_for_all" and on_time != waiting):
            return False
        else:
            candidates = [name for name in on_time if self._all_up_before(name)]
        if not candidates:
            return False
        name = candidates[0]
        self.incarnations += 1
        self.alive[name] = self.incarnations
        self.wanted.discard(name)
        self.said.append(("start", name, self.incarnations, self.strikes[name]))
        return True

    def _novice_before(self, name: str) -> bool:
        return any(other in self.novices for other in self.order[: self.order.index(name)])

    def _all_up_before(self, name: str) -> bool:
        before = self.order[: self.order.index(name)]
        return all(other in self.up or not (other in self.alive or other in self.wanted) for other in before)
