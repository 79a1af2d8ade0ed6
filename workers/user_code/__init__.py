"""Users' code, seen from the worker, which runs it in separate processes."""
