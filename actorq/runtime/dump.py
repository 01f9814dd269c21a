"""Where everything stands (SIGUSR1): the supervision tree, and for each task in progress its stack."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

import anyio


def report(tree: Mapping[str, Any], running: Iterable[str]) -> str:
    """Text of many lines. ``running``: names of the tasks of the event loop that run messages."""
    lines = ["supervision tree:", *_drawn(tree, "  ")]
    names = set(running)
    shown = 0
    for task in anyio.get_running_tasks():
        if task.name in names:
            shown += 1
            lines += [f"{task.name}:", *_stack(_frames(task.coro))]
    lines.insert(0, f"{shown} messages in progress")
    lines += _threads()
    return "\n".join(lines)


def _drawn(node: Mapping[str, Any], indent: str) -> Iterator[str]:
    uptime = "" if node.get("uptime") is None else f", up {node['uptime']:.0f} s"
    error = f", last error {node['error']}" if node.get("error") else ""
    yield f"{indent}{node['name']} ({node['kind']}): {node['state']}, {node['restarts']} restarts{uptime}{error}"
    for child in node.get("children", ()):
        yield from _drawn(child, indent + "  ")


def _frames(coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """The frames of a suspended coroutine, from the outermost on."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            yield frame, frame.f_lineno
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _stack(frames: Iterable[tuple[FrameType, int]]) -> list[str]:
    return [line.rstrip("\n") for line in traceback.StackSummary.extract(iter(frames)).format()]


def _threads() -> list[str]:
    lines: list[str] = []
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if ident != threading.get_ident():
            lines += [f"thread {names.get(ident, ident)}:", *_stack(reversed(list(traceback.walk_stack(frame))))]
    return lines
