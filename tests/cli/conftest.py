"""Shells with a module ``shop``: on a broker in each process, and on a real one with a worker."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from actorq import ActorSystem
from actorq.embedded import EmbeddedBroker
from tests.cli.operated import Place
from tests.cli.shell import Shell, shell_in


@pytest.fixture
def memory(tmp_path: Path) -> Shell:
    return shell_in(tmp_path, "memory:")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with EmbeddedBroker() as broker:
        shell = shell_in(tmp_path_factory.mktemp("shop"), broker.url)
        worker = shell.start("worker", "shop:system", "--json", "--log-format", "json")
        try:
            assert worker.stdout is not None
            assert json.loads(worker.stdout.readline())["system"] == "shop"
            yield shell
            worker.send_signal(signal.SIGTERM)
            _, talk = worker.communicate(timeout=30)
            assert worker.returncode == 0
            assert {"starting", "ready"} <= {json.loads(line)["message"] for line in talk.splitlines()}
        finally:
            shell.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def place(
    actorq_nats: str, actorq_name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Place]:
    monkeypatch.setattr("actorq.cli.operate.WINDOW", 0.15)
    async with (system := ActorSystem(actorq_name, transport=actorq_nats)):
        yield Place(system, capsys)
