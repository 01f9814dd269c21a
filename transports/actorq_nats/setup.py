"""Makes sure that the broker holds what a namespace needs: its streams, and the consumers of mailboxes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any

from actorq.errors import ActorqError, BrokerUnavailable, ConfigError, PermissionDenied
from actorq.model.message import ConsumerSpec, StreamSettings
from actorq_nats.errors import (
    CONSUMER_EXISTS,
    CONSUMER_NOT_FOUND,
    CONSUMER_OVERLAP,
    STREAM_NOT_FOUND,
    SUBJECTS_OVERLAP,
    ApiError,
    NobodyAnswers,
)
from actorq_nats.requests import Requests
from actorq_nats.topology import (
    MIN_SERVER,
    Config,
    ConsumerState,
    Kind,
    advised,
    judge_consumer,
    judge_stream,
    missing_stream,
    overlap_problem,
    overlaps,
    server_version,
    stream_name,
    told_changes,
    wanted_consumer,
    wanted_streams,
)

log = logging.getLogger("actorq.nats")

PAUSE = 0.25
INFO_TIMEOUT = 1.5
"""Seconds: while a leader is being elected nobody answers, and what is asked then is lost. So ask again soon."""


class Setup:
    """Belongs to the I/O loop."""

    def __init__(self, requests: Requests, prefix: str, settings: StreamSettings) -> None:
        self._requests = requests
        self._prefix = prefix
        self._settings = settings
        self._made: list[str] = []
        self._stream = stream_name(prefix, Kind.TASKS)
        self.skew = 0.0
        """Seconds by which the broker's clock is ahead of ours, as far as it is known."""

    # Streams

    async def streams(self, server: Mapping[str, Any], deadline: float) -> None:
        """Create or check them, as settings say; a fresh cluster is given until ``deadline`` (loop time).

        Raises ConfigError, PermissionDenied or BrokerUnavailable.
        """
        version = server_version(str(server.get("version", "")))
        if version and version < MIN_SERVER:
            raise ConfigError(
                f"nats-server {server['version']} is too old: actorq needs {'.'.join(map(str, MIN_SERVER))} or newer"
            )
        if self._settings.manage != "none":
            await self._patiently(bool(server.get("jetstream")), deadline)

    async def _patiently(self, enabled: bool, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._streams()
            except NobodyAnswers as error:
                if not enabled:
                    raise ConfigError(
                        "JetStream is not enabled on the broker: start nats-server with -js or a jetstream block"
                    ) from error
                problem: BrokerUnavailable = error
            except BrokerUnavailable as error:
                problem = error
            except PermissionDenied as error:
                told = f'{error}; or set streams.manage = "none" for users that may not see or make streams'
                raise PermissionDenied(told, subject=error.subject) from error
            else:
                return
            if loop.time() + PAUSE > deadline:
                raise problem
            log.warning("the streams cannot be set up yet: %s", problem)
            await asyncio.sleep(PAUSE)

    async def _streams(self) -> None:
        problems: list[str] = []
        for kind, wanted in wanted_streams(self._prefix, self._settings).items():
            try:
                problems += await self._stream_problems(kind, wanted)
            except ApiError as error:
                if error.code != SUBJECTS_OVERLAP:
                    raise error.translated() from error
                problems.append(await self._subjects_taken(wanted))
        if self._made:
            log.info("made new streams for %r: %s", self._prefix.removeprefix("aq-"), ", ".join(self._made))
            self._made.clear()
        if problems:
            told = advised(problems)
            raise ConfigError("; ".join(told), problems=told)

    async def _stream_problems(self, kind: Kind, wanted: Mapping[str, Any]) -> list[str]:
        name = str(wanted["name"])
        found = await self._found_stream(name)
        if found is None:
            if self._settings.manage != "create":
                return [missing_stream(name)]
            try:
                await self._requests.api(f"STREAM.CREATE.{name}", wanted)
            except ApiError:
                # Another process may have been faster, with settings of its own.
                found = await self._found_stream(name)
                if found is None:
                    raise
        if found is None:
            self._made.append(name)
            return []
        verdict = judge_stream(kind, found, wanted, self._settings)
        if verdict.changes and not verdict.problems:
            return await self._change_stream(name, found, verdict.changes)
        return list(verdict.problems)

    async def _subjects_taken(self, wanted: Mapping[str, Any]) -> str:
        others: set[str] = set()
        for subject in wanted["subjects"]:
            others.update((await self._requests.json("STREAM.NAMES", {"subject": subject})).get("streams") or ())
        return (
            f"stream {wanted['name']} cannot be made: {', '.join(sorted(others))} already takes subjects of "
            f"{', '.join(wanted['subjects'])}: remove them there, or use another system name"
        )

    async def _found_stream(self, name: str) -> Config | None:
        info = await self._found(f"STREAM.INFO.{name}", STREAM_NOT_FOUND)
        return None if info is None else info["config"]

    async def _found(self, subject: str, absent: int) -> Config | None:
        before = time.time()
        try:
            info = await self._requests.json(subject, timeout=INFO_TIMEOUT)
        except ApiError as error:
            if error.code == absent:
                return None
            raise
        if "ts" in info:
            self._measure(datetime.fromisoformat(info["ts"]).timestamp(), before, time.time())
        return info

    def _measure(self, told: float, before: float, after: float) -> None:
        # A time between question and answer is no difference at all.
        skew = told - (before + after) / 2
        self.skew = skew if abs(skew) > (after - before) / 2 else 0.0

    async def _change_stream(self, name: str, found: Config, changes: Mapping[str, Any]) -> list[str]:
        told = told_changes(found, changes)
        if self._settings.manage != "create":
            return [f'stream {name}: {told} is needed: change it with the nats CLI, or set streams.manage = "create"']
        try:
            await self._requests.api(f"STREAM.UPDATE.{name}", {**found, **changes})
        except ApiError as error:
            return [f"stream {name}: the broker refuses to change {told}: {error}"]
        log.warning("stream %s: changed %s", name, told)
        return []

    # Consumers

    async def join(self, spec: ConsumerSpec) -> ConsumerState:
        """Create a consumer, or take and update the one that exists.

        Raises ConfigError where what exists cannot be reconciled, else as any request.
        """
        return await self._explained(spec, self._join(spec))

    async def revive(self, spec: ConsumerSpec) -> ConsumerState:
        """Create a consumer if it is gone; a newer configuration than ours stays."""
        return await self._explained(spec, self._revive(spec))

    async def _revive(self, spec: ConsumerSpec) -> ConsumerState:
        found = await self._found_consumer(spec)
        return await self._join(spec) if found is None else ConsumerState.of(found)

    async def _explained(self, spec: ConsumerSpec, work: Awaitable[ConsumerState]) -> ConsumerState:
        try:
            return await work
        except ApiError as error:
            if error.code == CONSUMER_OVERLAP:
                raise await self._overlap(spec, error) from error
            raise error.translated() from error

    async def _join(self, spec: ConsumerSpec) -> ConsumerState:
        found = await self._found_consumer(spec)
        if found is None:
            try:
                return await self._make(spec, wanted_consumer(spec), "create")
            except ApiError as error:
                if error.code not in CONSUMER_EXISTS:
                    raise
                found = await self._found_consumer(spec) or {"config": {}}
        config: Config = found["config"]
        verdict = judge_consumer(self._stream, config, spec)
        if verdict.problems:
            raise ConfigError("; ".join(verdict.problems), problems=verdict.problems)
        if not verdict.changes:
            return ConsumerState.of(found)
        told = told_changes(config, verdict.changes)
        log.warning("consumer %s of stream %s: changing %s", spec.name, self._stream, told)
        return await self._make(spec, {**config, **verdict.changes}, "update")

    async def _make(self, spec: ConsumerSpec, config: Config, action: str) -> ConsumerState:
        body = {"stream_name": self._stream, "config": config, "action": action}
        return ConsumerState.of(await self._requests.json(f"CONSUMER.CREATE.{self._stream}.{spec.name}", body))

    async def _found_consumer(self, spec: ConsumerSpec) -> Config | None:
        return await self._found(f"CONSUMER.INFO.{self._stream}.{spec.name}", CONSUMER_NOT_FOUND)

    async def _overlap(self, spec: ConsumerSpec, error: ApiError) -> ActorqError:
        offset, total = 0, 1
        while offset < total:
            page = await self._requests.json(f"CONSUMER.LIST.{self._stream}", {"offset": offset})
            consumers: list[dict[str, Any]] = page.get("consumers") or []
            for consumer in consumers:
                filter_ = str(consumer["config"].get("filter_subject") or ">")
                if consumer["name"] != spec.name and overlaps(filter_, spec.filter):
                    return ConfigError(overlap_problem(spec, str(consumer["name"]), filter_))
            offset, total = offset + max(1, len(consumers)), int(page.get("total", 0))
        return ConfigError(f"consumer {spec.name} with filter {spec.filter}: {error}")
