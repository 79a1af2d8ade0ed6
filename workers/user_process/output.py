"""The trial's output, which the code may have closed, replaced by an object of its own, or taken away."""

import sys
import traceback
from contextlib import suppress


def tell(text: str) -> None:
    """Write a line in square brackets to the trial's output. It is lost if the code has closed that."""
    with suppress(Exception):
        print(f"[{text}]".encode("ascii", errors="backslashreplace").decode(), flush=True)


def print_error(error: BaseException) -> None:
    """Write an error with its traceback: to `sys.stderr`, or to the first one if the code's own fails."""
    for stream in (sys.stderr, sys.__stderr__):
        if stream is not None:
            with suppress(Exception):
                traceback.print_exception(error, file=stream)
                return


def flush_output() -> None:
    """Write out what was printed, to the code's own streams and to the first ones, as far as they are open."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(Exception):
                stream.flush()
