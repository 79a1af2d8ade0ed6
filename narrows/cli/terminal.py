"""Print lines of text to the terminal.

Commands print by these functions, or by `console` and `print_json` of `narrows.cli.output`.
"""

import codecs
import io
import sys
from collections.abc import Iterator

from service.schemas.terminal_text import printable, printable_json


def say(text: str) -> None:
    """Print a text to standard output, without the control characters that users' text may have."""
    print(printable(text))


def complain(text: str) -> None:
    """Print a text to standard error, without the control characters that users' text may have."""
    print(printable(text), file=sys.stderr)


def say_pieces(pieces: Iterator[bytes], *, is_json: bool) -> None:
    """Write UTF-8 text to standard output as it arrives: as it is, but to a terminal without control characters."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.writelines(pieces)
        return
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=not is_json)
    show = printable_json if is_json else printable
    for piece in pieces:
        sys.stdout.write(show(decoder.decode(piece)))
    sys.stdout.write(show(decoder.decode(b"", final=True)))
