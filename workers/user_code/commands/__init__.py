"""Commands: whole trainings by a program, with a process for each attempt at a trial."""
