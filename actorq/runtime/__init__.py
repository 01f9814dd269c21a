"""Everything that awaits inside a worker, on anyio alone."""
