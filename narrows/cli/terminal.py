"""Print lines of text to the terminal.

Commands print by these functions, or by `console` and `print_json` of `narrows.cli.output`.
"""

import sys

from service.schemas.terminal_text import printable


def say(text: str) -> None:
    """Print a text to standard output, without the control characters that users' text may have."""
    print(printable(text))


def complain(text: str) -> None:
    """Print a text to standard error, without the control characters that users' text may have."""
    print(printable(text), file=sys.stderr)
