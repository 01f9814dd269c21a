"""An exhaustive model of the delivery protocol, and the real decisions checked inside it."""
