"""Events for clients that listen."""
