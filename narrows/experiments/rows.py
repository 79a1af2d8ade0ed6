"""A table of text, for the terminal and for a Markdown record."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """A table with its title."""

    title: str
    header: list[str]
    rows: list[list[str]]


def markdown(rows: Rows) -> str:
    """Return the table in Markdown, below its title."""
    lines = [f"{rows.title}:", "", _line(rows.header), _line(["---"] * len(rows.header)), *map(_line, rows.rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
