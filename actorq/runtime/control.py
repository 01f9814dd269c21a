"""What a running worker answers to operators and clients on its control subjects (B-1)."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Protocol

from actorq.errors import ActorqError
from actorq.model.durations import rate
from actorq.runtime.context import Run
from actorq.runtime.execute import Job
from actorq.runtime.runner import ActorRunner
from actorq.runtime.supervise import Supervisor

log: logging.Logger = logging.getLogger("actorq.worker")

Question = Mapping[str, Any]


class Controlled(Protocol):
    """What of a worker can be asked about and changed."""

    @property
    def name(self) -> str: ...

    @property
    def system_name(self) -> str: ...

    @property
    def queues(self) -> list[str]: ...

    @property
    def runners(self) -> Mapping[str, ActorRunner]: ...

    @property
    def supervisor(self) -> Supervisor: ...


class Control:
    """Answers by verb; None where there is nothing to say. ``backend``: asyncio or trio."""

    def __init__(self, worker: Controlled, backend: str) -> None:
        self._worker = worker
        self._backend = backend
        self._started = time.time()
        self._version = version("actorq")
        self._verbs: dict[str, Callable[[Question], dict[str, Any] | None]] = {
            "find": self._find, "ping": self._ping, "info": self._info, "tree": self._tree, "restart": self._restart,
            "rate": self._rate, "tasks": self._tasks,
        }  # fmt: skip

    def answer(self, verb: str, question: Question) -> dict[str, Any] | None:
        known = self._verbs.get(verb)
        found = None if known is None else known(question)
        return None if found is None else {"worker": self._worker.name, **found}

    def _ping(self, _: Question) -> dict[str, Any]:
        return {"at": time.time()}

    def _info(self, _: Question) -> dict[str, Any]:
        runners = self._worker.runners
        return {
            "pid": os.getpid(), "host": socket.gethostname(), "system": self._worker.system_name,
            "backend": self._backend, "version": self._version, "started": self._started,
            "queues": self._worker.queues, "running": sum(runner.jobs.slots.running for runner in runners.values()),
            "actors": {name: _shown(runner) for name, runner in runners.items()},
        }  # fmt: skip

    def _find(self, question: Question) -> dict[str, Any] | None:
        for runner in self._worker.runners.values():
            if any(job.run is not None and job.envelope.id == question.get("id") for job in runner.jobs):
                return {"state": "held"}
            if any(str(puller.mailbox) == question.get("mailbox") for puller in runner.pullers):
                return {"state": "served" if runner.jobs.pace.ready() >= 1 else "limited"}
        return None

    def _tasks(self, _: Question) -> dict[str, Any]:
        jobs = [job for runner in self._worker.runners.values() for job in runner.jobs]
        return {"running": [_running(job, job.run) for job in jobs if job.run is not None]}

    def _tree(self, _: Question) -> dict[str, Any]:
        return {"tree": self._grown(self._worker.supervisor.tree())}

    def _grown(self, node: dict[str, Any]) -> dict[str, Any]:
        """An actor's node, and those below a supervisor's, with what the actor does just now."""
        runner = self._worker.runners.get(str(node["name"])) if node["kind"] == "actor" else None
        extra: dict[str, Any] = {} if runner is None else _load(runner)
        if "children" in node:
            extra["children"] = [self._grown(child) for child in node["children"]]
        return {**node, **extra}

    def _restart(self, question: Question) -> dict[str, Any]:
        path = str(question.get("path"))
        log.info("restart of %s, as somebody asks for", path)
        return _tried(lambda: self._worker.supervisor.restart(path))

    def _rate(self, question: Question) -> dict[str, Any] | None:
        runner = self._worker.runners.get(str(question.get("actor")))
        if runner is None:
            return None
        return _tried(lambda: _change_rate(runner, question))


def _running(job: Job, run: Run) -> dict[str, Any]:
    return {
        "id": job.envelope.id, "actor": job.envelope.to, "queue": job.mailbox.queue, "attempt": job.envelope.attempt,
        "started": time.time() - (time.monotonic() - run.began),
    }  # fmt: skip


def _change_rate(runner: ActorRunner, question: Question) -> None:
    given, burst = question.get("rate"), question.get("burst")
    runner.jobs.pace.change(None if given is None else rate(given, "rate"), burst if isinstance(burst, int) else 0)
    log.info("actor %s: rate limit %s from now on, as somebody asks for", runner.name, given or "none")


def _tried(change: Callable[[], None]) -> dict[str, Any]:
    try:
        change()
    except ActorqError as error:
        return {"ok": False, "error": str(error)}
    return {"ok": True, "error": None}


def _load(runner: ActorRunner) -> dict[str, Any]:
    limit = runner.jobs.pace.rate
    return {
        "running": runner.jobs.slots.running, "held": len(runner.jobs), "rate": None if limit is None else str(limit),
    }  # fmt: skip


def _shown(runner: ActorRunner) -> dict[str, Any]:
    return {
        **_load(runner), "queue": runner.target.policy.queue, "concurrency": runner.jobs.slots.capacity,
        "lent": runner.jobs.lent, "abandoned": runner.jobs.threads.abandoned,
        "state": "stopped" if runner.jobs.stopping else "running",
    }  # fmt: skip
