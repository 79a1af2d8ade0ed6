r"""Texts of users as a terminal may show them.

A terminal obeys control characters: an escape sequence moves the cursor, sets the window's title or hides what was
printed, and a bidirectional override shows text in another order than it has.
"""

import re

SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequence, such as a colour
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # string, such as a window's title, up to its terminator
    r"|\x1b[ -/]*[0-Z\\^_`a-~]"  # any other escape sequence
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
"""Complete escape sequences of ECMA-48."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that are shown as escapes: all control characters but tab and newline, separators of lines and paragraphs,
bidirectional marks, overrides and isolates, and halves of surrogate pairs, which cannot be written as UTF-8."""


def printable(text: str) -> str:
    r"""The text with control characters as escapes such as `\x1b`, and tabs as spaces. Newlines stay."""
    return CONTROL.sub(_escape, text.replace("\t", " "))


def printable_json(text: str) -> str:
    r"""JSON text with control characters as escapes such as `\u009b`, so that it stays equal when it is parsed.

    JSON itself escapes those of ASCII.
    """
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}" if found[0] > "~" else found[0], text)


def one_line(text: str) -> str:
    """As `printable`, with spaces for newlines."""
    return printable(text.replace("\r\n", " ").replace("\n", " "))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
