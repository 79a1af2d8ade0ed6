"""Measurements of Narrows against other software. Each module is a command; its results are under records/."""
