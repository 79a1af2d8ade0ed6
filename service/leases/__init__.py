"""A trial in a worker's hands, from claim to end."""
