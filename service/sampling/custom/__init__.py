"""Samplers of users, each in a process of its own: the service's side, and the process as seen from inside."""
