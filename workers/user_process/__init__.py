"""Users' code, seen from inside the process that runs it."""
