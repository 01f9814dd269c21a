"""The conformance suite: what every transport driver has to pass (see transports/README.md).

A driver's tests subclass ``TransportSuite``, and ``RestartSuite`` if its broker can die and come back, and give a
fixture ``harness``. Every test runs on asyncio and on trio, through the fixture ``anyio_backend``.
"""

from __future__ import annotations

from actorq.testing.suite.browsing import BrowsingTests
from actorq.testing.suite.credit import CreditTests
from actorq.testing.suite.harness import Harness, RestartHarness
from actorq.testing.suite.leases import LeaseTests
from actorq.testing.suite.passing import PassingTests
from actorq.testing.suite.restarts import RestartTests
from actorq.testing.suite.schedules import ScheduleTests
from actorq.testing.suite.storing import StoringTests

__all__ = ["Harness", "RestartHarness", "RestartSuite", "TransportSuite"]


class TransportSuite(StoringTests, BrowsingTests, PassingTests, ScheduleTests, CreditTests, LeaseTests):
    """What holds for every driver. Needs a fixture ``harness`` (see Harness)."""


class RestartSuite(RestartTests):
    """What holds where the broker dies and comes back. Needs a fixture ``harness`` (see RestartHarness)."""
