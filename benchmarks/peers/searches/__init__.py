"""The search of examples/digits.yaml in other ways. Each module is a command that is measured with its start."""
