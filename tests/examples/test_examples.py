"""Every example runs, against a real broker where it needs one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from actorq import Worker
from actorq.testing import wait_until
from examples import asgi_app

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem for path in (ROOT / "examples").glob("*.py")}


def run(example: str, **environment: str) -> str:
    command = [sys.executable, "-m", f"examples.{example}"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested() -> None:
    assert {"quickstart", "asgi_app", "sync_script"} == EXAMPLES


def test_quickstart() -> None:
    assert "hello, world" in run("quickstart", ACTORQ_TRANSPORT="memory:")


@pytest.mark.broker
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_sync_script(actorq_nats: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "actorq", "worker", "examples.quickstart:system", "--server", actorq_nats]
    stderr = tmp_path / "stderr"
    with stderr.open("wb") as said, subprocess.Popen(command, cwd=ROOT, stderr=said) as worker:
        try:
            await wait_until(lambda: "ready" in stderr.read_text(), timeout=30, description="the worker is ready")
            output = await anyio.to_thread.run_sync(lambda: run("sync_script", NATS_URL=actorq_nats))
        finally:
            worker.terminate()
    assert "hello, Riga" in output


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_asgi_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORQ_TRANSPORT", "memory:asgi")
    to_app, from_app = anyio.create_memory_object_stream[Any](5), anyio.create_memory_object_stream[Any](5)
    async with anyio.create_task_group() as tasks, to_app[0], to_app[1], from_app[0], from_app[1]:
        tasks.start_soon(asgi_app.app, {"type": "lifespan"}, to_app[1].receive, from_app[0].send)
        await to_app[0].send({"type": "lifespan.startup"})
        assert (await from_app[1].receive())["type"] == "lifespan.startup.complete"
        async with Worker(asgi_app.system):
            expected = [("/tea/2", 200, b"2 x tea: 19.00"), ("/tea/0", 422, b"count has to be 1 or more")]
            for path, status, body in expected:
                await asgi_app.app({"type": "http", "path": path}, to_app[1].receive, from_app[0].send)
                assert (await from_app[1].receive())["status"] == status
                assert (await from_app[1].receive())["body"] == body
        await to_app[0].send({"type": "lifespan.shutdown"})
        assert (await from_app[1].receive())["type"] == "lifespan.shutdown.complete"
