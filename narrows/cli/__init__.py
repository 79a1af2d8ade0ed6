"""The `narrows` command: a file for each subcommand, and every setting in one table."""
