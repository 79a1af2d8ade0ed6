"""The model that a user's code has left, read when it is to be kept."""

import logging
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

logger = logging.getLogger("narrows.worker")

MAX_BYTES = 1024**3


def content_of(path: Path, who: str) -> Callable[[], bytes] | None:
    """A function that reads the model, and raises OSError when it cannot; None when there is none that may be kept."""
    try:
        _check(path.lstat())
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s: its model is not kept: %s", who, error)
        return None
    return partial(read, path)


def read(path: Path, what: str = "a model") -> bytes:
    """A plain file that the code has written, of no more than may be kept. Raises OSError."""
    # Never through a link that took the file's place meanwhile, nor waiting for the other end of a pipe that did.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        known = os.fstat(descriptor)
        _check(known, what)
        return file.read(known.st_size)


def _check(known: os.stat_result, what: str = "a model") -> None:
    if not stat.S_ISREG(known.st_mode):
        raise OSError(f"{what} must be a plain file")
    if known.st_size > MAX_BYTES:
        raise OSError(f"{what} must have at most {MAX_BYTES} bytes: {known.st_size}")
