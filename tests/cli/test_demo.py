"""The demo: real work, one worker killed, every file counted once, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from actorq.cli.demo_tasks import Journal, count, sources


def test_sources_are_the_standard_librarys_without_its_tests() -> None:
    found = sources()
    assert len(found) > 100
    assert any(path.name == "argparse.py" for path in found)
    assert not any("site-packages" in path.parts or "test" in path.parts for path in found)


def test_words_are_counted_without_regard_to_case() -> None:
    assert count(b"The the x 12 the_end") == Counter({"the": 2, "the_end": 1})


def test_a_journal_tells_what_was_in_flight(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for what, number in (("start", 1), ("start", 2), ("end", 1), ("start", 3)):
        journal.note(what, number)
    assert Journal(tmp_path, os.getpid()).in_flight() == [2, 3]
    assert journal.runs() == [1, 2, 3]
    assert Journal(tmp_path, 0).runs() == []


def start(folder: Path, *flags: str) -> subprocess.Popen[str]:
    # The folder becomes the place of all temporary files: what is in it afterwards was left behind.
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "actorq", "demo", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip


def left_behind(folder: Path) -> list[str]:
    """Processes that name the folder in their command or environment."""
    found: list[str] = []
    for process in Path("/proc").iterdir():
        try:
            seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in seen:
            found.append(process.name)
    return found


@pytest.mark.broker
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_file_is_counted_once_though_a_worker_is_killed(backend: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = start(folder, "--json", "--backend", backend)
        out, talk = demo.communicate(timeout=90)
        assert demo.returncode == 0, talk
        assert "killed a worker process (SIGKILL)" in talk
        assert "its parent has started another one" in talk
        assert "failed 2 times and succeeded at attempt 3" in talk
        assert "Traceback" not in talk
        document = json.loads(out)
        assert all(document["checks"].values())
        assert document["tasks"] == document["files"] == len(sources())
        assert document["in_flight_at_the_kill"] > 0
        assert document["run_again"] > 0
        assert left_behind(folder) == []
        assert list(folder.iterdir()) == []


@pytest.mark.broker
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_quietly_and_leaves_nothing(end: signal.Signals) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = start(folder)
        deadline, pause = time.monotonic() + 30, threading.Event()
        while not list(folder.glob("actorq-demo-*/*.journal")):
            assert time.monotonic() < deadline, "no task was begun"
            pause.wait(0.02)
        demo.send_signal(end)
        out, talk = demo.communicate(timeout=30)
        assert (demo.returncode, out) == (130, "")
        assert "Traceback" not in talk
        assert left_behind(folder) == []
        assert list(folder.iterdir()) == []
