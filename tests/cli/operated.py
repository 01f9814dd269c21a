"""Commands run beside a system in this process, and workers that do nothing but answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.abc import TaskStatus

from actorq import ActorSystem
from actorq.cli.main import main
from actorq.core.codec import pack, unpack_map
from actorq.model.message import Message
from tests.cli.shell import one_line

Reply = Callable[[Mapping[str, Any]], dict[str, Any]]
Finished: TypeAlias = subprocess.CompletedProcess[str]


class Place:
    """A system on a broker, and commands on it."""

    def __init__(self, system: ActorSystem, capsys: pytest.CaptureFixture[str]) -> None:
        self.system = system
        self._capsys = capsys
        self._out = self._err = ""

    async def run(self, *arguments: str) -> Finished:
        """As in a shell of its own; the process is this one, which is a second faster."""
        words = [*arguments, "--namespace", self.system.name, "-s", self.system.url]
        self._read()
        self._out = self._err = ""
        code = await anyio.to_thread.run_sync(main, words)
        self._read()
        return Finished(words, code, self._out, self._err)

    def _read(self) -> None:
        seen = self._capsys.readouterr()
        self._out, self._err = self._out + seen.out, self._err + seen.err

    def said(self, text: str) -> bool:
        """Whether the command that runs has said this on stderr."""
        self._read()
        return text in self._err

    async def document(self, *arguments: str) -> Any:
        finished = await self.run(*arguments, "--json")
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    async def refused(self, code: int, *arguments: str) -> str:
        return one_line(await self.run(*arguments), code)


@asynccontextmanager
async def answering(system: ActorSystem, **workers: Mapping[str, Reply]) -> AsyncGenerator[None]:
    """Workers, by name, that do nothing but answer these verbs."""
    async with anyio.create_task_group() as tasks:
        for name, replies in workers.items():
            await tasks.start(_answer, system, name, replies)
        yield
        tasks.cancel_scope.cancel()


async def _answer(
    system: ActorSystem, name: str, replies: Mapping[str, Reply], *, task_status: TaskStatus[None]
) -> None:
    transport, (send, heard) = system.client.transport, anyio.create_memory_object_stream[Message](100)
    with send, heard, ExitStack() as stack:
        for whom in ("all", name):
            control = system.namespace.control("*", whom)
            stack.callback((await transport.subscribe(control, send.send_nowait, lambda: None)).close)
        task_status.started()
        async for message in heard:
            reply, question = replies.get(message.subject.rsplit(".", 1)[1]), unpack_map(message.body)
            if reply is not None and question is not None:
                await transport.notify(message.reply, pack({"worker": name, **reply(question)}))


def always(**answer: Any) -> Reply:
    return lambda _: answer


def info(actors: Mapping[str, Mapping[str, Any]], **more: Any) -> Reply:
    return always(**{"pid": 7, "host": "h", "queues": ["default"], "running": 1, "actors": actors, **more})
