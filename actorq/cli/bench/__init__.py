"""``actorq bench``: what actorq costs beside the raw client, measured in one run."""
