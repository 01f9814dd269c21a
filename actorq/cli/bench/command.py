"""``actorq bench``: runs the workloads on both sides and prints them next to each other."""

from __future__ import annotations

import os
import platform
import secrets
import tempfile
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import anyio
from cyclopts import Parameter
from rich import box
from rich.console import Console
from rich.table import Table

from actorq.cli import signals
from actorq.cli.bench import ours, raw
from actorq.cli.bench.tasks import system
from actorq.cli.bench.workloads import LIMIT, WORKLOADS, Figures, Plan, beside_limited
from actorq.cli.exits import OK, USAGE, Exit
from actorq.cli.output import document, masked, talk
from actorq.cli.settings import DEFAULTS, ENVIRONMENT, Common, Flag
from actorq.embedded import EmbeddedBroker


def bench(
    *,
    tasks: int = 10_000,
    processes: int = 1,
    backend: Literal["asyncio", "trio"] = "asyncio",
    only: Annotated[str, Parameter(metavar="NAMES")] = "",
    sync_always: Flag = False,
    common: Common = DEFAULTS,
) -> int:
    """Measure how fast actorq sends, runs and answers, each beside nats-py alone in the same run.

    Workers are processes. Without --server it runs on an embedded broker in a temporary folder.

    Parameters
    ----------
    tasks
        How many tasks a figure rests on.
    processes
        Worker processes on each side.
    backend
        Event loop of actorq's client and workers; nats-py itself knows only asyncio.
    only
        Comma separated: enqueue, drain, window, latency, sleep, threads, memory, limited.
    sync_always
        Let the embedded broker flush to disk before each confirmation.
    """
    known = [*WORKLOADS, LIMIT]
    chosen = [name for name in only.split(",") if name] or known
    if unknown := set(chosen) - set(known):
        raise Exit(USAGE, f"--only: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    if tasks < 1 or processes < 1:
        raise Exit(USAGE, "--tasks and --processes take 1 or more")
    if common.server is not None and not common.server.startswith(("nats:", "tls:")):
        raise Exit(USAGE, f"bench measures NATS: {masked(common.server)} is not like nats://host:4222")
    signals.listen()
    with (
        tempfile.TemporaryDirectory(prefix="actorq-bench-") as folder,
        EmbeddedBroker(sync_always=sync_always) if common.server is None else nullcontext() as broker,
    ):
        common.connect(system)
        if broker is not None:
            system.transport = broker.url
        settings = {ENVIRONMENT[key]: str(value) for key, value in system.connection.items()}
        plan = Plan(
            settings=settings | {"ACTORQ_TRANSPORT": system.url}, folder=Path(folder),
            prefix=f"bench-{secrets.token_hex(3)}", tasks=tasks, processes=processes, backend=backend,
        )  # fmt: skip
        figures = {name: _measured(name, plan) for name in chosen}
    where = f"embedded, sync_interval {'always' if sync_always else '2m'}" if broker else masked(system.url)
    _report(
        figures, {**_machine(), "broker": where, "tasks": tasks, "processes": processes, "backend": backend}, common
    )
    return OK


def _measured(name: str, plan: Plan) -> tuple[Figures, Figures]:
    talk(f"{name} ...")
    if name == LIMIT:
        return anyio.run(beside_limited, plan, ours.opened, backend=plan.backend)
    workload = WORKLOADS[name]
    try:
        mine = anyio.run(workload, plan, ours.opened, backend=plan.backend)
        return mine, anyio.run(workload, plan, raw.opened)
    finally:
        anyio.run(raw.remove_streams, plan)


def _machine() -> dict[str, object]:
    return {
        "actorq": version("actorq"), "nats-py": version("nats-py"), "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }  # fmt: skip


def _report(figures: dict[str, tuple[Figures, Figures]], facts: dict[str, object], common: Common) -> None:
    rows = [(name, mine[name], other[name]) for mine, other in figures.values() for name in mine]
    if common.as_json:
        found = [{"name": name, "actorq": mine, "raw": other, "ratio": mine / other} for name, mine, other in rows]
        document({**facts, "figures": found})
        return
    table = Table(box=box.SIMPLE, caption=", ".join(f"{key} {value}" for key, value in facts.items()))
    table.add_column("")
    for heading in ("actorq", "nats-py alone", "ratio"):
        table.add_column(heading, justify="right")
    for name, mine, other in rows:
        table.add_row(name, _shown(mine), _shown(other), f"{mine / other:.2f}")
    Console().print(table)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
