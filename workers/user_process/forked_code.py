"""Processes that the trial's code forks, and that come back from it as the trial's own process does."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from workers.user_process.output import flush_output, print_error


@contextmanager
def ends_forks() -> Iterator[None]:
    """Let only this process leave the block: one that code has forked in it ends there, as a program of Python ends."""
    own = os.getpid()
    try:
        yield
    except BaseException as error:
        if os.getpid() != own:
            _end(error)
        raise
    if os.getpid() != own:
        _end(None)


def _end(error: BaseException | None) -> NoReturn:
    status = 0 if error is None else 1
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            with suppress(Exception):  # of a stream that the code has closed or replaced
                print(error.code, file=sys.stderr)
    elif error is not None:
        print_error(error)
    flush_output()
    os._exit(status & 0xFF)
