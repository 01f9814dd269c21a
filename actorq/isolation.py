"""What the processes of single attempts are told of a system, and under which name they find it."""

from __future__ import annotations

import dataclasses
import sys

from actorq.runtime.isolate import Isolation
from actorq.system import ActorSystem

_IN_MAIN = "its actors are in no module that another process could import: move them out of the program's main file"
_IN_MEMORY = "memory: is a broker inside this process, which another one cannot reach"


def isolation(system: ActorSystem, app: str | None = None) -> Isolation:
    """The processes for single attempts of a system. ``app``: its MODULE:SYSTEM; None: wherever its actors are."""
    app = app or importable(system)
    if sys.platform != "linux":
        return Isolation("that takes Linux")
    if system.url.startswith("memory:"):
        return Isolation(_IN_MEMORY)
    if app is None:
        return Isolation(_IN_MAIN)
    return Isolation(
        {
            "app": app,
            "modules": sorted({module for target in system.actors.values() if (module := _module(target.handler))}),
            "transport": system.url,
            "namespace": system.namespace.prefix,
            "connection": {key: v for key, v in system.connection.items() if isinstance(v, str | int | float)},
            "streams": dataclasses.asdict(system.streams) | {"manage": "none"},
            "send_timeout": system.send_timeout,
        }
    )


def importable(system: ActorSystem) -> str | None:
    """A ``module:attribute`` under which another process finds the system, None if there is none."""
    for target in system.actors.values():
        name = _module(target.handler)
        for attribute, value in vars(sys.modules[name]).items() if name else ():
            if value is system:
                return f"{name}:{attribute}"
    return None


def _module(handler: object) -> str | None:
    """Where a handler is from, if that can be imported: a program's main file is another module elsewhere."""
    name = getattr(handler, "__module__", None)
    module = sys.modules.get(name) if isinstance(name, str) else None
    return None if module is None or module.__spec__ is None or name == "__main__" else name
