"""Durable tasks for async Python: actors addressed by name, run by supervised workers."""
