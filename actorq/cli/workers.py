"""``actorq ping`` and ``workers``: who is there."""

from __future__ import annotations

from time import perf_counter

from actorq.cli.exits import FAILED, OK, Exit
from actorq.cli.operate import WINDOW, Answer, OneWorker, ask, beside
from actorq.cli.output import listing, span
from actorq.cli.settings import DEFAULTS, App, Common
from actorq.client import Client


def ping(*, worker: OneWorker = None, app: App = None, common: Common = DEFAULTS) -> int:
    """Ask every worker whether it is there, and how long its answer takes; exit 1 if none answers."""

    async def work(client: Client) -> int:
        took: dict[str, float] = {}
        began = perf_counter()

        def seen(answer: Answer) -> None:
            took[str(answer.get("worker"))] = (perf_counter() - began) * 1_000

        await ask(client, "ping", worker=worker, seen=seen)
        if not took:
            raise Exit(FAILED, nobody(worker))
        rows = [{"worker": name, "ms": round(took[name], 1)} for name in sorted(took)]
        listing(rows, "", as_json=common.as_json)
        return OK

    return beside(app, common, work)


def nobody(worker: str | None) -> str:
    """That no worker, or not that one, has answered, and what to do."""
    if worker is None:
        return f"no worker answered within {WINDOW:g} s: start one with `actorq worker MODULE:SYSTEM`"
    return f"worker {worker!r} does not answer: `actorq workers` shows who is there"


def workers(*, app: App = None, common: Common = DEFAULTS) -> int:
    """List the workers that are running."""

    async def work(client: Client) -> int:
        now = client.transport.now()
        rows = [_row(info, now) for info in await ask(client, "info")]
        listing(rows, nobody(None), as_json=common.as_json, forms={"uptime": span})
        return OK

    return beside(app, common, work)


def _row(info: Answer, now: float) -> Answer:
    known = {name: info.get(name) for name in ("host", "pid", "backend", "version")}
    started = info.get("started")
    return {
        "name": info["worker"], **known, "uptime": None if started is None else round(now - started, 1),
        "running": info.get("running"), "queues": info.get("queues") or [],
    }  # fmt: skip
