"""Events for clients that listen, and the signal that wakes waiting claims."""
