"""The embedded broker, on the real binary."""
