"""Declare two actors, send them work, await the results.

Serve it with ``actorq worker examples.quickstart:system --embedded`` or, as here, run the worker in the same program:
``ACTORQ_TRANSPORT=memory: python -m examples.quickstart``.
"""

from __future__ import annotations

import hashlib

import anyio

from actorq import ActorSystem, Worker

system = ActorSystem("quickstart")


@system.actor
async def greet(name: str) -> str:
    await anyio.sleep(0.01)
    return f"hello, {name}"


@system.actor(threads=4)
def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def main() -> None:
    async with system, Worker(system):
        handle = await greet.send("world")
        print(handle.id)
        print(await handle)
        handles = await digest.send_many([(f"document {n}",) for n in range(10)])
        for handle in handles:
            print((await handle)[:12])


if __name__ == "__main__":
    anyio.run(main)
