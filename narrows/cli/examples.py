"""The study definitions that ship with Narrows."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def example(name: str) -> Path:
    """The file of an example: a wheel has it inside the package, a checkout in `examples/` beside it."""
    inside = PACKAGE / "examples" / name
    return inside if inside.exists() else PACKAGE.parent / "examples" / name
