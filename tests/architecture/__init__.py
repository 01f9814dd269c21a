"""The house rules: what imports what, what stands where, how long it may be."""
