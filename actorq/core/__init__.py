"""Pure decisions: values and ``now`` in, a decision out. Never awaits, reads a clock or draws a random number."""
