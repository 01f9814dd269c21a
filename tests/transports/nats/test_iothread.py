"""The ways between two loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio
import pytest

from actorq_nats.iothread import IoThread, Way, soon_here


class Bell:
    """A loop that runs only when the test says so."""

    def __init__(self) -> None:
        self.rung: list[Callable[[], None]] = []

    def soon(self, call: Callable[[], None]) -> None:
        self.rung.append(call)

    def run(self) -> None:
        rung, self.rung = self.rung, []
        for call in rung:
            call()


def test_one_ring_serves_all_that_waits() -> None:
    """Calls are made in their order, in one batch, and the loop is woken once."""
    bell, made = Bell(), list[int]()
    way = Way(bell.soon)
    for n in range(100):
        way.post(made.append, n)
    assert len(bell.rung) == 1
    bell.run()
    assert made == list(range(100))
    assert bell.rung == []


def test_what_a_call_posts_waits_for_the_next_turn() -> None:
    """A batch ends, so that the loop can do other things, too."""
    bell, made = Bell(), list[int]()
    way = Way(bell.soon)

    def again(n: int) -> None:
        made.append(n)
        way.post(again, n + 1)

    way.post(again, 0)
    bell.run()
    assert made == [0]
    bell.run()
    assert made == [0, 1]


def test_a_call_that_fails_strands_no_other() -> None:
    """The rest of the batch is made in the next turn."""
    bell, made = Bell(), list[int]()
    way = Way(bell.soon)
    way.post(int, "no number")
    way.post(made.append, 1)
    with pytest.raises(ValueError, match="no number"):
        bell.run()
    bell.run()
    assert made == [1]


def test_a_loop_that_is_gone_is_told_once() -> None:
    """Posting to a dead loop is no error of the poster's."""
    gone: list[bool] = []

    def soon(_: Callable[[], None]) -> None:
        raise RuntimeError("closed")

    way = Way(soon, lambda: gone.append(True))
    way.post(int, 1)
    way.post(int, 2)
    assert gone == [True]


@pytest.mark.anyio
async def test_there_and_back() -> None:
    """A call into the thread and one back, in both kinds of loop; and the thread ends."""
    home, ended, seen = Way(soon_here()), anyio.Event(), list[str]()
    io, asked = IoThread("test io"), asyncio.Event()

    def work(value: str) -> None:
        seen.append(f"{value} in {threading.current_thread().name}")
        asked.set()

    async def main() -> None:
        await asked.wait()

    io.start(main, lambda: home.post(lambda event: event.set(), ended))
    io.way.post(work, "work")
    with anyio.fail_after(5):
        await ended.wait()
    io.join(5)
    assert seen == ["work in test io"]
    assert "test io" not in [thread.name for thread in threading.enumerate()]
