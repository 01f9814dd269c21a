"""A lifespan whose failure is told as what it is: the worker's surroundings are not there."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

from actorq.cli.exits import GAVE_UP, Exit, kind_of, one_line, users_line
from actorq.runtime.boundary import Raised, guarded
from actorq.system import Lifespan


class Named:
    """The lifespan of the system ``name``. Raises Exit where entering it fails, whatever it raised."""

    def __init__(self, name: str, lifespan: Lifespan) -> None:
        self._name = name
        self._lifespan = lifespan
        self._entered: AbstractAsyncContextManager[Any] | None = None

    async def __aenter__(self) -> Any:
        state = await guarded(self._enter)
        if not isinstance(state, Raised):
            return state
        if not isinstance(state.error, Exception):
            raise state.error
        place = users_line(state.error)
        told = f"{kind_of(state.error)}: {one_line(state.error)}{place and f' (at {place})'}"
        raise Exit(GAVE_UP, f"the lifespan of system {self._name!r} failed: {told}") from state.error

    async def _enter(self) -> Any:
        self._entered = self._lifespan()
        return await self._entered.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._entered is not None
        return await self._entered.__aexit__(kind, error, trace)
