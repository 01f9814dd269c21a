"""Tasks that go on when what surrounds them is cancelled, until they are ended in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup, TaskStatus

from actorq.errors import InternalError


@asynccontextmanager
async def shelter() -> AsyncGenerator[TaskGroup, None]:
    """A task group that the cancellation of its surroundings does not reach; it is cancelled at its end."""

    async def stay(*, task_status: TaskStatus[TaskGroup]) -> None:
        # Shielded: an outcome that exists must not be lost to a cancellation (test_a_stop_while_settling).
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as inner:
                task_status.started(inner)
                await anyio.sleep_forever()
            if not inner.cancel_scope.cancel_called:
                raise InternalError("the worker's tasks were cancelled by none of its own: please report this")

    outer = anyio.create_task_group()
    await outer.__aenter__()
    try:
        group: TaskGroup = await outer.start(stay)
        try:
            yield group
        finally:
            group.cancel_scope.cancel()
    finally:
        # Not given the body's exception: that one passes as it is, not wrapped into a group.
        await outer.__aexit__(None, None, None)
