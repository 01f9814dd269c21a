"""The users of docs/how-to/run-a-broker.md, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from actorq import ActorSystem, Context, PermissionDenied, StreamSettings, Worker
from actorq.embedded import EmbeddedBroker
from actorq.model.message import Failed, Publication
from tests.docs.pages import ROOT, blocks

pytestmark = [pytest.mark.broker, pytest.mark.anyio]
PAGE = ROOT / "docs/how-to/run-a-broker.md"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    (config,) = [block.text for block in blocks(PAGE, "text") if "authorization" in block.text]
    with EmbeddedBroker(config=config) as broker:
        yield broker.url


def shop(url: str, user: str, manage: str = "none") -> ActorSystem:
    credentials = {"user": user, "password": f"{user}-secret"}
    return ActorSystem("shop", transport=url, connection=credentials, streams=StreamSettings(manage=manage))


async def greet(name: str) -> str:
    return f"hello, {name}"


async def relay(ctx: Context, name: str) -> str:
    return str(await (await ctx.send("greet", name)))


async def test_each_user_may_do_its_work_and_no_more(
    url: str, actorq_nats: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with shop(url, "admin", "create"):
        pass
    web, work = shop(url, "web"), shop(url, "work")
    work.actor(greet)
    work.actor(relay)
    async with web, Worker(work):
        handle = await web.send("relay", "world")
        assert await handle == "hello, world"
        assert await web.handle(handle.id).status() == "succeeded"
        late = await web.ref("greet").options(delay="100ms").send("Riga")
        assert await web.handle(late.id).result(timeout=5) == "hello, Riga"
        (answer,) = await web.client.transport.publish([Publication("aq-shop.r._.forged", b"")], timeout=5)
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, PermissionDenied)
        with pytest.raises(PermissionDenied):
            await web.client.transport.subscribe("aq-shop.t.>", lambda _: None, lambda: None)
    assert not [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_a_denial_says_what_to_do(url: str) -> None:
    with anyio.fail_after(10):
        with pytest.raises(PermissionDenied, match=r"STREAM\.INFO.*manage"):
            async with shop(url, "web", "create"):
                pass
