"""The study definitions that ship with Narrows."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def example(name: str) -> Path:
    """Return the file of an example: inside the package in a wheel, in `examples/` beside it in a checkout."""
    inside = PACKAGE / "examples" / name
    return inside if inside.exists() else PACKAGE.parent / "examples" / name
