"""The public test harness.

``wait_until`` and ``virtual_time`` are for tests of any program; the pytest plugin (``actorq.testing.plugin``, found by
pytest itself) gives the fixtures ``actorq_memory``, ``actorq_nats`` and ``actorq_name``; the conformance suite for
drivers is ``actorq.testing.suite``.
"""

from __future__ import annotations

from actorq.testing.clock import virtual_time
from actorq.testing.waiting import wait_until

__all__ = ["virtual_time", "wait_until"]
