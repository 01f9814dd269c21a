"""What the engine asks of the outside: Protocols that drivers fulfil."""
