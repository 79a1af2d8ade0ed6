"""What a user runs and imports: the `narrows` command, and the names that `from narrows import …` gives."""
