"""What a worker is to run, out of its program's code and a configuration (interface 3)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from actorq.config.config import Config, Declared
from actorq.config.plan import Plan, settle
from actorq.config.reading import Draft, read
from actorq.model.address import Namespace
from actorq.model.worker import WorkerOptions
from actorq.system import ActorSystem

# Keys of [worker] that are called otherwise in WorkerOptions.
_OPTIONS = {"ack_wait": "lease", "exclude_queues": "exclude"}
# What they may say; ``concurrency`` is part of the plan, and as an option that of a flag.
_OWN = {field.name for field in fields(WorkerOptions)} - {"concurrency"}


def draft_of(config: Draft | str | Path | None) -> Draft:
    """A configuration that was read, or is to be read from a file; an empty one for None."""
    if isinstance(config, Draft):
        return config
    return Draft(Config()) if config is None else read(str(config), os.environ)


def apply(config: Config, system: ActorSystem) -> None:
    """Lay namespace, [nats] and [streams] over the system's own; it must not be connected yet."""
    given = config.nats
    own = {key: value for key, value in given.items() if key not in ("servers", "send_timeout")}
    system.connection = system.connection | own
    system.transport = ",".join(given["servers"]) if "servers" in given else system.transport
    system.send_timeout = given.get("send_timeout", system.send_timeout)
    system.streams = config.streams(system.streams)
    if config.namespace is not None:
        system.namespace = Namespace.of(config.namespace)


def as_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """What keys of [worker] say, by the names of WorkerOptions, as far as these have them."""
    known = {_OPTIONS.get(key, key): value for key, value in given.items()}
    return {name: value for name, value in known.items() if name in _OWN}


def options_of(config: Config) -> WorkerOptions:
    """What the keys of [worker] say."""
    return WorkerOptions(**as_options({key: value for key, value in config.worker.items() if value is not None}))


def declared_by(system: ActorSystem) -> Declared:
    """What a program's code says of its actors and supervisors."""
    actors = system.actors.values()
    return Declared(
        {actor.name: actor.policy for actor in actors},
        {actor.name: actor.given for actor in actors},
        system.supervisors,
    )


def plan_for(system: ActorSystem, options: WorkerOptions, draft: Draft) -> Plan:
    """The plan. Raises ConfigError with all problems of the draft, and of its fitting the program."""
    if options.concurrency is not None:
        draft = replace(
            draft, config=draft.config.with_flags({"worker.concurrency": ("concurrency", options.concurrency)})
        )
    return settle(draft, declared_by(system))
