"""A worker of nats-py alone: the limit of the parts. A program of its own, which imports nothing of actorq.

It keeps what is promised and nothing more: a result is stored, confirmed, before its task is acknowledged.
Arguments: the prefix of streams and subjects, and what to do with a task (results, plain, sleep, threads).
"""

# nats-py is typed in part.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import anyio
import nats
from anyio.abc import TaskGroup
from nats.aio.client import Client
from nats.aio.msg import Msg

CREDIT = {"results": 1000, "plain": 1000, "sleep": 100, "threads": 100}
SLEEP, THREADS = 0.1, 8


async def connect(settings: Mapping[str, str]) -> Client:
    """A connection as the environment says."""
    tls = None
    if settings.get("NATS_CA") or settings.get("NATS_CERT"):
        tls = ssl.create_default_context(cafile=settings.get("NATS_CA"))
        if settings.get("NATS_CERT"):
            tls.load_cert_chain(settings["NATS_CERT"], settings.get("NATS_KEY"))
    return await nats.connect(
        settings["ACTORQ_TRANSPORT"].split(","), user=settings.get("NATS_USER"), password=settings.get("NATS_PASSWORD"),
        token=settings.get("NATS_TOKEN"), user_credentials=settings.get("NATS_CREDS"),
        nkeys_seed=settings.get("NATS_NKEY"), tls=tls, allow_reconnect=False,
        max_reconnect_attempts=1, error_cb=_ignore,
    )  # fmt: skip


async def _ignore(_: Exception) -> None:
    """What goes wrong is raised where it is awaited; nats-py would also log it, with a traceback."""


class Worker:
    """Pulls continuously through one inbox, as fast as nats-py can."""

    def __init__(self, connection: Client, prefix: str, mode: str, tasks: TaskGroup) -> None:
        self._connection = connection
        self._prefix = prefix
        self._mode = mode
        self._tasks = tasks
        self._inbox, self._confirmations = connection.new_inbox(), connection.new_inbox()
        self._unconfirmed: dict[str, str] = {}
        self._free = CREDIT[mode]
        self._portion = 1 if mode == "sleep" else CREDIT[mode] // 4  # many small requests cost; idle slots cost more
        self._pool = ThreadPoolExecutor(THREADS)

    async def start(self) -> None:
        await self._connection.subscribe(self._inbox, cb=self._deliver)
        await self._connection.subscribe(f"{self._confirmations}.*", cb=self._confirmed)
        await self._pull()
        await self._connection.flush()

    async def _pull(self) -> None:
        if self._free >= self._portion:
            request = json.dumps({"batch": self._free, "expires": 30 * 10**9}).encode()
            self._free = 0
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._prefix}-t.worker"
            await self._connection.publish(subject, request, reply=self._inbox)

    async def _deliver(self, message: Msg) -> None:
        if message.subject == self._inbox:  # a status: the request is over, this much of it was not used
            self._free += int((message.headers or {}).get("Nats-Pending-Messages", "0"))
            await self._pull()
        elif self._mode == "results":
            await self._finish(message)
        elif self._mode == "plain":
            await self._acknowledge(message.reply)
        else:
            self._tasks.start_soon(self._run, message)

    async def _run(self, message: Msg) -> None:
        if self._mode == "sleep":
            await anyio.sleep(SLEEP)
        else:
            await asyncio.get_running_loop().run_in_executor(self._pool, len, message.data)
        await self._finish(message)

    async def _finish(self, message: Msg) -> None:
        key = message.subject.rpartition(".")[2]
        self._unconfirmed[key] = message.reply
        await self._connection.publish(f"{self._prefix}.r.{key}", b"1", reply=f"{self._confirmations}.{key}")

    async def _confirmed(self, message: Msg) -> None:
        await self._acknowledge(self._unconfirmed.pop(message.subject.rpartition(".")[2]))

    async def _acknowledge(self, reply: str) -> None:
        await self._connection.publish(reply, b"+ACK")
        self._free += 1
        await self._pull()


async def main(prefix: str, mode: str) -> None:
    connection = await connect(os.environ)
    async with anyio.create_task_group() as tasks:
        await Worker(connection, prefix, mode, tasks).start()
        print("ready", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
