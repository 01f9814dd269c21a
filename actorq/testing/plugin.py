"""The pytest plugin: fixtures for programs that use actorq."""

from __future__ import annotations

import pytest

# Before anybody imports it: the suite's assertions shall explain themselves in other projects, too.
pytest.register_assert_rewrite("actorq.testing.suite")
