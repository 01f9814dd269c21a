"""Settings from file and environment as typed values."""
