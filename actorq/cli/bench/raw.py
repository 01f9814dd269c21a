"""nats-py alone, in asyncio: what the parts allow on this machine, in this run."""

# nats-py is typed in part.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import anyio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from actorq.cli.bench import raw_worker
from actorq.cli.bench.workloads import Kind, Plan
from actorq.cli.processes import Process

BODY = b"x" * 150

_numbers = count()  # of the process: the broker drops a message id that it has seen


@asynccontextmanager
async def opened(plan: Plan, kind: Kind) -> AsyncGenerator[Raw]:
    """A connection, and streams that stay until ``remove_streams``."""
    connection = await raw_worker.connect(plan.settings)
    raw = Raw(connection, plan, kind)
    try:
        await raw.open()
        yield raw
    finally:
        await connection.close()


class Raw:
    """Two streams, one consumer, and the results that pass by."""

    def __init__(self, connection: Client, plan: Plan, kind: Kind) -> None:
        self._connection = connection
        self._jetstream = connection.jetstream()
        self._plan = plan
        self._kind = kind
        self._prefix = f"{plan.prefix}-raw"
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def open(self) -> None:
        p = self._prefix
        tasks = StreamConfig(name=f"{p}-t", subjects=[f"{p}.t.*"], retention=RetentionPolicy.WORK_QUEUE)
        await self._jetstream.add_stream(tasks)
        await self._jetstream.add_stream(StreamConfig(name=f"{p}-r", subjects=[f"{p}.r.*"], max_msgs_per_subject=1))
        worker = ConsumerConfig(durable_name="worker", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1_000_000)
        await self._jetstream.add_consumer(f"{p}-t", worker)
        self._results = await self._connection.subscribe(f"{p}.r.*", cb=self._result)

    async def _result(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if waiting is not None:
            waiting.set_result(None)

    async def send(self) -> None:
        await self._publish(str(next(_numbers)))

    async def _publish(self, key: str) -> None:
        await self._jetstream.publish(f"{self._prefix}.t.{key}", BODY, headers={"Nats-Msg-Id": key})

    async def ask(self) -> None:
        key = str(next(_numbers))
        done = self._waiting[key] = asyncio.get_running_loop().create_future()
        await self._publish(key)
        await done

    async def send_many(self, number: int) -> None:
        inbox, left, done = self._connection.new_inbox(), number, anyio.Event()

        async def confirmed(_: Msg) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done.set()

        subscription = await self._connection.subscribe(f"{inbox}.*", cb=confirmed)
        for _ in range(number):
            key = str(next(_numbers))
            await self._connection.publish(
                f"{self._prefix}.t.{key}", BODY, reply=f"{inbox}.{key}", headers={"Nats-Msg-Id": key}
            )
        await done.wait()
        await subscription.unsubscribe()

    def deaf(self) -> None:
        """The few results that pass by cost this side nothing to speak of: nobody waits for them."""

    async def drained(self) -> None:
        while (await self._jetstream.stream_info(f"{self._prefix}-t")).state.messages:
            await anyio.sleep(0.005)

    def worker(self, number: int) -> Process:
        program = str(Path(raw_worker.__file__))
        arguments = (program, self._prefix, self._kind)
        return Process(f"raw-{self._kind}-{number}", self._plan.folder, arguments, self._plan.settings)


async def remove_streams(plan: Plan) -> None:
    """Remove every stream of this run from the broker, if that can be reached."""
    try:
        connection = await raw_worker.connect(plan.settings)
    except (NatsError, OSError):
        return
    try:
        jetstream = connection.jetstream()
        for stream in await jetstream.streams_info():
            name, subjects = stream.config.name, stream.config.subjects or []
            if name and any(subject.startswith((f"aq-{plan.prefix}", plan.prefix)) for subject in subjects):
                await jetstream.delete_stream(name)
    finally:
        await connection.close()
