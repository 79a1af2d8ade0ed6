"""Read files that a user's code has written: plain files of limited size only."""

import logging
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

logger = logging.getLogger("narrows.worker")

MAX_BYTES = 1024**3


def model_reader(path: Path, trial_title: str) -> Callable[[], bytes] | None:
    """A function that reads the model, for when it is to be uploaded; it raises OSError if it cannot.

    None if there is no model, or if it cannot be uploaded, which is then logged.
    """
    try:
        _check(path.lstat(), "a model")
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s: its model is not kept: %s", trial_title, error)
        return None
    return partial(read_file, path, "a model")


def read_file(path: Path, kind: str) -> bytes:
    """Content of the file. Raises OSError if it is missing, too large or not a plain file, with `kind` as its name."""
    # The code may have put a link or a pipe in the file's place: do not follow the one, or wait for the other.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _check(status, kind)
        return file.read(status.st_size)


def _check(status: os.stat_result, kind: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{kind} must be a plain file")
    if status.st_size > MAX_BYTES:
        raise OSError(f"{kind} must have at most {MAX_BYTES} bytes: {status.st_size}")
