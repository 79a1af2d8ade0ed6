"""Text logs in which every event begins a line, and nothing that a user wrote does."""

import logging

from service.schemas.terminal_text import printable

INDENT = "    "
"""What the lines of a traceback begin with; the line of an event begins with its time."""


class LineFormatter(logging.Formatter):
    r"""Formats a record as one line, without control characters and with newlines as `\n`.

    The lines of a traceback follow, indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the lines of a traceback if there is one."""
        first, *others = printable(super().format(record)).split("\n")
        return "\n".join([first, *(f"{INDENT}{line}" for line in others)])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line of the event."""
        return super().formatMessage(record).replace("\n", "\\n")
