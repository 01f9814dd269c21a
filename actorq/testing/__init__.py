"""The public test harness.

``wait_until`` and ``virtual_time`` serve tests of any program; the pytest plugin (``actorq.testing.plugin``, which
pytest finds by itself) gives the fixtures ``actorq_memory``, ``actorq_nats`` and ``actorq_name``; the conformance
suite for drivers is ``actorq.testing.suite``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actorq.testing.clock import virtual_time
    from actorq.testing.waiting import wait_until

__all__ = ["virtual_time", "wait_until"]

_MODULES = {"virtual_time": "clock", "wait_until": "waiting"}


def __getattr__(name: str) -> object:
    # At the first use: the plugin is imported in every pytest run, and brings this package with it.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
