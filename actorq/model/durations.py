"""Durations, sizes and rates as people write them, normalised once at the edge."""
