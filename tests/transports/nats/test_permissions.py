"""What the broker's permissions forbid is a typed error at once, not a time-out."""

from __future__ import annotations

import logging
from dataclasses import replace

import anyio
import pytest

from actorq.errors import PermissionDenied
from actorq.model.address import Mailbox, Namespace
from actorq.model.message import ConnectionSettings, ConsumerSpec, Failed, Publication, Stored, StreamSettings
from actorq.testing import wait_until
from actorq_nats import connect
from tests.transports.nats.conftest import Start

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

PREFIX = "aq-shop"
NAMES, BOX = Namespace(PREFIX), Mailbox("default", 0, "actor")
SPEC = ConsumerSpec(BOX.consumer, NAMES.inbox(BOX), 30.0)
TASK = Publication(NAMES.task(BOX, "a"), b"")
QUICK = 2.0
"""Seconds: far below every time-out."""
CONFIG = """
accounts { A { jetstream: enabled, users = [
    { user: admin, password: x }
    { user: web, password: x, permissions: {
        publish: { allow: ["aq-shop.t.>", "aq-shop.m.>"] }
        subscribe: { allow: ["_INBOX.aq-shop.web.>", "aq-shop.n.origin.*"] } } }
    { user: work, password: x, permissions: {
        publish: { deny: ["$JS.API.CONSUMER.MSG.NEXT.>", "$JS.API.STREAM.>"] }
        subscribe: { allow: [">"] } } }
    { user: deaf, password: x, permissions: { subscribe: { allow: ["aq-shop.n.>"] } } } ] } }
"""


@pytest.fixture
def admin(start: Start) -> ConnectionSettings:
    return ConnectionSettings(start(CONFIG).url, PREFIX, user="admin", password="x", connect_timeout=QUICK)


def user(admin: ConnectionSettings, name: str) -> ConnectionSettings:
    return replace(admin, user=name, streams=StreamSettings(manage="none"))


async def test_a_producer_needs_little(admin: ConnectionSettings) -> None:
    """Task and register subjects, its own inbox and its own results are enough to send."""
    async with connect(admin), connect(user(admin, "web")) as web:
        await web.subscribe(NAMES.wake("origin"), lambda _: None, lambda: None)
        (answer,) = await web.publish([TASK], timeout=QUICK)
        assert isinstance(answer, Stored)


async def test_a_denied_publication(admin: ConnectionSettings) -> None:
    """It fails at once and for good; its neighbours are stored."""
    result = Publication(NAMES.result("origin", "A"), b"forged")
    async with connect(admin), connect(user(admin, "web")) as web:
        with anyio.fail_after(QUICK):
            before, denied, after = await web.publish([TASK, result, TASK], timeout=60.0)
    assert isinstance(before, Stored)
    assert isinstance(after, Stored)
    assert isinstance(denied, Failed)
    assert isinstance(denied.error, PermissionDenied)
    assert (denied.permanent, denied.unknown) == (True, False)
    assert f"user 'web' may not publish to {result.subject}" in str(denied.error)


async def test_denied_reads(admin: ConnectionSettings) -> None:
    """Look-ups name the subject of the broker's API that is missing."""
    async with connect(admin), connect(user(admin, "web")) as web:
        with anyio.fail_after(QUICK), pytest.raises(PermissionDenied, match=r"\$JS.API.STREAM.MSG.GET.aq-shop_tasks"):
            await web.get(TASK.subject)
        with anyio.fail_after(QUICK), pytest.raises(PermissionDenied, match=r"\$JS.API.DIRECT.GET.aq-shop_tasks"):
            await web.scan(NAMES.registers())


async def test_a_denied_subscription(admin: ConnectionSettings) -> None:
    """Somebody else's results are not for this user."""
    async with connect(admin), connect(user(admin, "web")) as web:
        with anyio.fail_after(QUICK), pytest.raises(PermissionDenied, match=r"may not subscribe to aq-shop.n.other.\*"):
            await web.subscribe(NAMES.wake("other"), lambda _: None, lambda: None)


async def test_denied_streams(admin: ConnectionSettings) -> None:
    """Who may not manage streams is told to say so."""
    settings = replace(user(admin, "work"), streams=StreamSettings())
    with anyio.fail_after(QUICK), pytest.raises(PermissionDenied, match=r'streams\.manage = "none"'):
        async with connect(settings):
            pass


async def test_a_denied_consumer(admin: ConnectionSettings) -> None:
    """Neither creating one nor pulling from one hangs."""
    async with connect(admin), connect(user(admin, "web")) as web, connect(user(admin, "work")) as work:
        with anyio.fail_after(QUICK), pytest.raises(PermissionDenied, match=r"CONSUMER.INFO.aq-shop_tasks"):
            await web.consume(SPEC)
        consumer = await work.consume(SPEC)
        consumer.grant(1)
        with anyio.fail_after(QUICK), pytest.raises(PermissionDenied, match=r"CONSUMER.MSG.NEXT.aq-shop_tasks"):
            await consumer.receive()
        assert await consumer.stop() == []


async def test_a_user_without_an_inbox(admin: ConnectionSettings) -> None:
    """No answer could reach it: opening fails and names what has to be allowed."""
    with anyio.fail_after(QUICK), pytest.raises(PermissionDenied, match=r"_INBOX.aq-shop.deaf"):
        async with connect(user(admin, "deaf")):
            pass


async def test_what_nobody_waits_for_is_logged(admin: ConnectionSettings, caplog: pytest.LogCaptureFixture) -> None:
    """A denied passing message has no caller to tell: one line for many of a kind."""
    async with connect(admin), connect(user(admin, "web")) as web:
        for n in range(3):
            await web.notify(f"{PREFIX}.e.done.default.a{n}", b"")
        await web.notify(f"{PREFIX}.c.all.find", b"")
        told = [f"{PREFIX}.e.done.default", f"{PREFIX}.c.all.find"]
        with caplog.at_level(logging.ERROR, "actorq.nats"):
            await wait_until(lambda: all(part in caplog.text for part in told), description="both are logged")
    assert caplog.text.count("permissions violation") == 2
