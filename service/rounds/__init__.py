"""Narrowing rounds: by which rule a range closes in, when a round starts, and how clients see rounds."""
