"""A web application without a framework: its lifespan connects the system, its requests await tasks.

Any ASGI server runs ``examples.asgi_app:app``; the work is done by ``actorq worker examples.asgi_app:system``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from actorq import ActorSystem, RemoteError, ResultTimeout, Retry

system = ActorSystem("shop")
Event = dict[str, Any]


@system.actor(timeout="5s", retry=Retry(no_retry=(ValueError,)))
async def quote(item: str, count: int) -> str:
    if count < 1:
        raise ValueError("count has to be 1 or more")
    return f"{count} x {item}: {9.5 * count:.2f}"


async def app(scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]) -> None:
    if scope["type"] == "lifespan":
        await receive()
        async with system:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    item, _, count = scope["path"].strip("/").partition("/")
    try:
        handle = await quote.send(item, int(count or 1))
        status, text = 200, await handle.result(timeout=2)
    except RemoteError as error:
        status, text = 422, str(error)
    except ResultTimeout as error:
        status, text = 202, f"working on it: {error.task_id}"
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})
