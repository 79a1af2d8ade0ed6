"""Users' code, seen from the worker that starts it in processes of its own."""
