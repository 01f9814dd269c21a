"""Messages between a worker and the process of one attempt."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import anyio
import anyio.to_thread
import pytest

from actorq.runtime.channel import PACKET, Channel

pytestmark = pytest.mark.anyio
LONG = "long " * PACKET  # several packets, and more than a socket holds
SAID: list[list[object]] = [["go", 1], ["x", (1, {2}), {"a": None}], ["long", LONG], ["bye"]]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = Channel.pair()
    near.settimeout(0)
    with near, far:
        yield near, far


async def hear(channel: Channel, into: list[list[object]]) -> None:
    while len(into) < len(SAID):
        message = await channel.get()
        assert message is not None
        into.append(message)


@pytest.mark.parametrize("who", ["the worker", "the process"])
async def test_what_is_said_arrives_whole_and_in_order(ends: tuple[socket.socket, socket.socket], who: str) -> None:
    near, far = map(Channel, ends)
    heard: list[list[object]] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear, far if who == "the worker" else near, heard)
        for message in SAID:
            if who == "the worker":
                await near.put(*message)
            else:
                await anyio.to_thread.run_sync(partial(far.send, *message))
    assert heard == SAID


async def test_the_end_is_told_after_all_else(ends: tuple[socket.socket, socket.socket]) -> None:
    """Also if the other side has not listened to all; what is said to it then is dropped."""
    near, far = map(Channel, ends)
    await near.put("unheard")
    far.send("last")
    far.close()
    assert await near.get() == ["last"]
    assert await near.get() is None
    await near.put("nobody hears this")


async def test_a_sentence_that_death_cut_short_is_dropped(ends: tuple[socket.socket, socket.socket]) -> None:
    """The last words of somebody else are not taken for the rest of it."""
    near, far = map(Channel, ends)
    ends[1].settimeout(0)
    with pytest.raises(BlockingIOError):
        far.send("half", LONG)
    with anyio.move_on_after(0.05):
        await near.get()
    far.last_words("ended", -9)
    assert await near.get() == ["ended", -9]
