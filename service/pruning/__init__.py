"""Which running trials are pruned, and which wait at a rung."""
