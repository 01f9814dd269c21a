"""A program that has to check under mypy and pyright: what senders and awaiters get is typed all the way."""

from __future__ import annotations

from typing import assert_type

from actorq import ActorSystem, Context, Handle, Retry
from actorq.actor import ClassActor
from actorq.runtime.target import Background

system = ActorSystem("typed")


@system.actor
async def send_email(user_id: int, subject: str = "hello") -> str:
    return f"{user_id}: {subject}"


@system.actor(queue="media", threads=4, timeout="30s", retry=Retry(max_attempts=1))
def thumbnail(path: str, size: int = 128) -> bytes:
    return path.encode() * size


@system.actor
async def charge(ctx: Context, order: int) -> float:
    return ctx.attempt * float(order)


class Geocoder:
    async def setup(self, background: Background) -> None:
        background.start_soon(self.refresh, 60.0, name="refresh")

    async def refresh(self, every: float) -> None: ...

    async def locate(self, address: str) -> tuple[float, float]:
        return (len(address), 0.0)


@system.actor(name="again", concurrency=2)
class Decorated(Geocoder):
    pass


geocoder = system.actor(Geocoder)
slow_geocoder = system.actor(name="slow", timeout="1m")(Geocoder)
system.supervisor("media", strategy="one_for_all", within="1m", children=[thumbnail, geocoder, "again"])


async def use_classes() -> None:
    assert_type(geocoder, ClassActor[Geocoder])
    assert_type(slow_geocoder, ClassActor[Geocoder])
    assert_type(geocoder(), Geocoder)
    assert_type(await geocoder().locate("Riga"), tuple[float, float])
    assert_type(await Decorated().locate("Riga"), tuple[float, float])
    place: tuple[float, float] = await geocoder.locate.ask("Riga")
    handle = await geocoder.locate.options(delay="10s").send(place)
    assert_type(await handle.status(), str)


async def use() -> None:
    handle = await send_email.send(42, subject="hi")
    assert_type(handle, Handle[str])
    assert_type(await handle, str)
    assert_type(await handle.result(timeout=5), str)
    assert_type(await send_email.ask(42), str)
    assert_type(await send_email(42), str)
    assert_type(await thumbnail.ask("x.png", size=64), bytes)
    assert_type(thumbnail("x.png"), bytes)
    assert_type(await charge.ask(7), float)
    assert_type(await charge.options(delay="10s", meta={"a": 1}).send(7), Handle[float])
    assert_type(await thumbnail.send_many([("a.png", 1), ("b.png", 2)]), list[Handle[bytes]])
    assert_type(await handle.status(), str)


def use_blocking() -> None:
    with system.blocking() as client:
        assert_type(client.ask(send_email, 1), str)
        assert_type(client.send(thumbnail, "x.png"), Handle[bytes])
        assert_type(client.result(client.send(charge, 3)), float)
        assert_type(client.send(geocoder.locate, "Riga").id, str)
