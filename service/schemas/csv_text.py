"""Texts of users as the cells of a CSV file.

A spreadsheet takes a cell that begins with =, +, - or @ for a formula, and skips a tab or a carriage return before it.
Such a text gets an apostrophe in front, which says that the cell is text. Numbers get none.
"""

import re

FORMULA = re.compile("'*[=+\\-@\t\r]")
"""How a cell begins that a spreadsheet would calculate, or that would lose its apostrophe when it is read again."""


def text_cell(text: str) -> str:
    """The cell of a text."""
    return f"'{text}" if FORMULA.match(text) else text


def text_of(cell: str) -> str:
    """The text of a cell that `text_cell` made."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
