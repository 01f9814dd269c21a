"""A declared handler as senders and workers see it: name, callable, policy, types of its arguments and result."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actorq.core.convert import Parameters, Returned
from actorq.errors import UsageError
from actorq.model.policy import Policy
from actorq.runtime.context import Context


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One actor. ``is_async``: its handler runs in the event loop, else in a worker thread."""

    name: str
    handler: Callable[..., Any]
    policy: Policy
    is_async: bool
    parameters: Parameters
    returned: Returned

    @classmethod
    def of(cls, name: str, handler: Callable[..., Any], policy: Policy) -> Target:
        """Read the handler's signature.

        Raises UsageError where an annotation cannot be understood, and for a handler that yields.
        """
        called = _called(handler)
        if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
            raise UsageError(
                f"actor {name!r} yields, but an actor gives one value: return a list, or send a task for each value"
            )
        parameters = Parameters.of(handler, name=name, context_type=Context)
        return cls(name, handler, policy, _is_async(called), parameters, Returned.of(handler))

    @property
    def slots(self) -> int:
        """How many of it may run at once in one worker."""
        return self.policy.concurrency if self.is_async else min(self.policy.concurrency, self.policy.threads)

    def with_policy(self, policy: Policy) -> Target:
        """The same handler, run otherwise."""
        return dataclasses.replace(self, policy=policy)

    def __repr__(self) -> str:
        return f"<Target {self.name}>"


def _called(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a call ends up in: past partials, and in an object's ``__call__``."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else type(handler).__call__


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether it, or what it wraps, is ``async def``: a plain decorator passes the coroutine on."""
    if inspect.iscoroutinefunction(function):
        return True
    wrapped = getattr(function, "__wrapped__", None)
    return wrapped is not None and _is_async(_called(wrapped))
