"""Leases of trials from claim to end, and what time does to a study: `tick.py` ends leases, rounds and the study."""
