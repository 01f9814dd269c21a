"""Virtual time: an hour of leases, delays and time limits in milliseconds.

Time stands still while any task can run and jumps to the next timer when all of them wait. It does not know of threads
and sockets: never test thread offload, blocking clients or a real broker on it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, Literal

import trio.testing


def virtual_time(backend: Literal["asyncio", "trio"] = "trio") -> tuple[str, Mapping[str, Any]]:
    """A value for the fixture ``anyio_backend``, for one test on virtual time (so give the fixture scope ``function``).

    ::

        @pytest.fixture
        def anyio_backend():
            return virtual_time()
    """
    if backend == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": _VirtualLoop}


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: where nothing is ready, the time is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout is not None:
            self.now += max(0.0, timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
