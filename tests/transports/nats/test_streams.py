"""Streams and consumers on a real broker: made once by whoever comes first, and never quietly wrong."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import anyio
import pytest

from actorq.errors import ConfigError, StreamFull
from actorq.model.address import Mailbox, Namespace
from actorq.model.message import ConnectionSettings, ConsumerSpec, Failed, Publication, Stored, StreamSettings
from actorq_nats import connect
from tests.transports.nats.conftest import Start
from tests.transports.nats.raw import api, stream

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

SECOND = 1_000_000_000


def spec(prefix: str, *, lease: float = 30.0, max_held: int = 0) -> ConsumerSpec:
    box = Mailbox("default", 0, "actor")
    return ConsumerSpec(box.consumer, Namespace(prefix).inbox(box), lease, max_held)


def with_streams(settings: ConnectionSettings, **streams: Any) -> ConnectionSettings:
    return replace(settings, streams=StreamSettings(**streams))


async def test_many_can_come_first(settings: ConnectionSettings) -> None:
    """Ten processes that start at once make one set of streams, and all of them run."""

    async def come() -> None:
        async with connect(settings):
            pass

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(come)


async def test_a_stream_with_a_limit_is_refused(settings: ConnectionSettings, prefix: str) -> None:
    """All problems at once, each with stream, key, what is found, what is needed and what to do."""
    found = {"name": f"{prefix}_tasks", "subjects": [f"{prefix}.t.>"], "retention": "workqueue", "max_msgs": 100}
    await api(settings.url, f"STREAM.CREATE.{prefix}_tasks", found)
    with pytest.raises(ConfigError) as raised:
        async with connect(settings):
            pass
    problems = "\n".join(raised.value.problems)
    assert f"stream {prefix}_tasks: max_msgs is 100, needed is -1: remove the limit" in problems
    assert f"stream {prefix}_tasks: allow_msg_schedules is None, needed is True" in problems
    assert len(raised.value.problems) > 2


async def test_subjects_that_another_stream_takes(settings: ConnectionSettings, prefix: str) -> None:
    """The other stream is named."""
    await api(settings.url, f"STREAM.CREATE.{prefix}-old", {"name": f"{prefix}-old", "subjects": [f"{prefix}.>"]})
    with pytest.raises(ConfigError, match=f"{prefix}-old already takes subjects of {prefix}.t"):
        async with connect(settings):
            pass


async def test_verify_makes_nothing(settings: ConnectionSettings, prefix: str) -> None:
    """It says which streams are missing, and is content once they are there."""
    careful = with_streams(settings, manage="verify")
    with pytest.raises(ConfigError, match=f"stream {prefix}_tasks does not exist") as raised:
        async with connect(careful):
            pass
    assert len(raised.value.problems) == 3
    async with connect(settings), connect(careful):
        pass


async def test_chosen_settings_are_brought_up_to_date(settings: ConnectionSettings, prefix: str) -> None:
    """Where actorq manages the streams it changes what was chosen; where it only verifies it names the difference."""
    chosen = with_streams(settings, duplicate_window=60.0, dead_ttl=7_200.0)
    async with connect(settings):
        pass
    with pytest.raises(ConfigError, match=f"stream {prefix}_dead: .*max_age from 14 d to 2 h"):
        async with connect(replace(chosen, streams=replace(chosen.streams, manage="verify"))):
            pass
    async with connect(chosen):
        assert (await stream(settings.url, f"{prefix}_tasks"))["duplicate_window"] == 60 * SECOND
    async with connect(settings):
        assert (await stream(settings.url, f"{prefix}_dead"))["max_age"] == 7_200 * SECOND


async def test_a_change_that_the_broker_refuses(settings: ConnectionSettings, prefix: str) -> None:
    """Three replicas on one server: named for a new stream and for one that exists."""
    chosen = with_streams(settings, replicas=3)
    with pytest.raises(ConfigError, match="replicas > 1 not supported"):
        async with connect(chosen):
            pass
    async with connect(settings):
        pass
    with pytest.raises(ConfigError, match=f"stream {prefix}_tasks: the broker refuses to change num_replicas"):
        async with connect(chosen):
            pass


async def test_a_full_account_says_so(start: Start, prefix: str) -> None:
    """What no longer fits is StreamFull, surely not stored, and worth another try later."""
    url = start(
        "accounts { A { jetstream { max_file: 2MB }, users = [ { user: a, password: a } ] } }\nno_auth_user: a"
    ).url
    async with connect(ConnectionSettings(url, prefix)) as transport:
        answers = await transport.publish(
            [Publication(f"{prefix}.t.default.0.actor.k{n}", bytes(200_000)) for n in range(20)], timeout=10.0
        )
    assert isinstance(answers[0], Stored)
    full = answers[-1]
    assert isinstance(full, Failed)
    assert isinstance(full.error, StreamFull)
    assert (full.permanent, full.unknown) == (False, False)


async def test_a_consumer_is_updated_and_told(
    settings: ConnectionSettings, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The lease of another worker's configuration is replaced, with a line in the log."""
    async with connect(settings) as transport:
        await transport.consume(spec(prefix))
        with caplog.at_level(logging.WARNING, "actorq.nats"):
            consumer = await transport.consume(spec(prefix, lease=45.0, max_held=3))
    assert consumer.lease == 45.0
    assert "changing lease from 30 s to 45 s, limit of messages held from -1 to 3" in caplog.text


async def test_a_foreign_consumer_is_named(settings: ConnectionSettings, prefix: str) -> None:
    """Somebody's consumer over all tasks is in the way: the error says which and of which actor."""
    async with connect(settings) as transport:
        foreign = {"name": "spy", "durable_name": "spy", "ack_policy": "explicit", "filter_subject": f"{prefix}.t.>"}
        body = {"stream_name": f"{prefix}_tasks", "config": foreign}
        await api(settings.url, f"CONSUMER.CREATE.{prefix}_tasks.spy", body)
        told = f"actor actor already has consumer spy with filter {prefix}.t.>"
        with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
            await transport.consume(spec(prefix))


async def test_workers_that_bind_at_once_share_a_consumer(settings: ConnectionSettings, prefix: str) -> None:
    """Creating it at the same moment is no conflict."""
    async with connect(settings) as transport, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(transport.consume, spec(prefix))
