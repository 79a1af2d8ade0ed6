"""Print lines of text to the terminal. All commands print by these functions, or by `narrows.cli.output.console`."""

import sys

from service.schemas.terminal_text import printable


def say(text: str) -> None:
    """Print a text to standard output, without the control characters that users' text may have."""
    print(printable(text))


def complain(text: str) -> None:
    """Print a text to standard error, without the control characters that users' text may have."""
    print(printable(text), file=sys.stderr)
