"""actorq's own side of the bench."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio

from actorq.actor import Address
from actorq.cli.bench.tasks import limited, nap, nothing, system, threaded
from actorq.cli.bench.workloads import Kind, Plan
from actorq.cli.exits import FAILED, Exit
from actorq.cli.processes import Process, worker_process
from actorq.client import Client
from actorq.handle import Handle
from actorq.model.address import Mailbox, Namespace

TARGET = "actorq.cli.bench.tasks:system"
SAMPLE = 100
SLEEP = 0.1

_runs = count(1)


@asynccontextmanager
async def opened(plan: Plan, kind: Kind) -> AsyncGenerator[Ours]:
    """A connection in a namespace of its own."""
    name = f"{plan.prefix}-{next(_runs)}"
    system.namespace = Namespace.of(name)
    async with system.connect() as client:
        ours = Ours(client, plan, kind, name)
        yield ours
        await ours.check()


class Ours:
    """Sends one actor's tasks over a connection of its own."""

    def __init__(self, client: Client, plan: Plan, kind: Kind, namespace: str) -> None:
        addresses: dict[Kind, Address[[Any], Any]] = {
            "results": nothing, "plain": nothing.options(ignore_result=True), "sleep": nap, "threads": threaded,
        }  # fmt: skip
        self._address = addresses[kind]
        self._client = client
        self._plan = plan
        self._kind = kind
        self._namespace = namespace
        self._numbers = count()
        self._sent: list[str] = []

    async def send(self) -> None:
        await self.send_many(1)

    async def send_many(self, number: int) -> None:
        handles = await self._submit(number)
        self._sent = [handle.id for handle in handles[:SAMPLE]]

    async def _submit(self, number: int) -> list[Handle[Any]]:
        calls = [((SLEEP if self._kind == "sleep" else next(self._numbers),), dict[str, Any]()) for _ in range(number)]
        return await self._address.submit_by(self._client, calls)

    async def burden(self, number: int) -> None:
        """Tasks of a rate-limited actor in the same queue, which stay there."""
        await limited.options(ignore_result=True).submit_by(self._client, [((n,), {}) for n in range(number)])

    async def ask(self) -> None:
        (handle,) = await self._submit(1)
        await handle.result()

    def deaf(self) -> None:
        self._client.close()

    async def drained(self) -> None:
        mailbox = Mailbox("default", 0, self._address.to)
        while await self._client.transport.get(system.namespace.inbox(mailbox)) is not None:
            await anyio.sleep(0.005)

    async def check(self) -> None:
        """What was drained with results has them. Raises Exit."""
        if self._kind == "plain":
            return
        for task_id in self._sent:
            record = await self._client.record(task_id)
            if record is None or record.state != "succeeded":
                raise Exit(FAILED, f"task {task_id} was drained but has no result: the figures mean nothing")

    def worker(self, number: int) -> Process:
        settings = {**self._plan.settings, "ACTORQ_NAMESPACE": self._namespace}
        flags = ("--backend", self._plan.backend)
        return worker_process(f"{self._namespace}-{number}", self._plan.folder, TARGET, settings, *flags)
