"""Whole trainings by an entrypoint: one process for each attempt at a trial."""
