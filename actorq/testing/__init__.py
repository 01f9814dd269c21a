"""The public test harness: pytest plugin, conformance suite for drivers, ``wait_until``."""
