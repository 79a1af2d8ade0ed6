"""Custom objectives: whole trainings by an entrypoint, with a process for each attempt at a trial."""
