"""Frozen values: no decisions, no input or output, no clock."""
