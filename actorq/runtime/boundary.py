"""The one boundary around user code (E-5): whatever it raises is a failure of its message, never taken for our own."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio


@dataclass(frozen=True, slots=True)
class Raised:
    """User code raised ``error``."""

    error: BaseException


async def guarded(call: Callable[[], Awaitable[Any]], *, interrupts: bool = True) -> Any:
    """Await user code; give its value, or Raised. Only the engine's own cancellation and a signal's interrupt pass.

    ``interrupts``: False where signals are heard elsewhere, so that a KeyboardInterrupt is user code's own.
    """
    try:
        return await call()
    except GeneratorExit:
        raise
    except BaseException as error:
        if interrupts and isinstance(error, KeyboardInterrupt):
            raise
        # A scope around us that is cancelled shows as a deadline of -inf; without one, the cancellation is user code's.
        cancelled = isinstance(error, anyio.get_cancelled_exc_class())
        if cancelled and anyio.current_effective_deadline() == -math.inf:
            raise
        return Raised(error)
