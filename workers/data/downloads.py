"""Downloads of data sets, once for all workers of a machine."""

import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Read = TypeVar("Read")

MISSING_ERRORS = (OSError, RuntimeError)
"""Errors that torchvision raises for a data set that is missing or incomplete."""


def read_or_download(read: Callable[[bool], Read], root: Path) -> Read:
    """Return `read(False)`, or `read(True)`, which may download, if the data is missing in `root`.

    File locks make one of the workers that start at once download, while the others wait until it is complete.
    """
    with _lock(root, fcntl.LOCK_SH):
        try:
            return read(False)
        except MISSING_ERRORS:
            pass
    with _lock(root, fcntl.LOCK_EX):
        try:
            return read(False)
        except MISSING_ERRORS:
            root.mkdir(parents=True, exist_ok=True)
            return read(True)


@contextmanager
def _lock(root: Path, kind: int) -> Iterator[None]:
    # The lock file is outside of the data directory, which may be read-only.
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    with Path(tempfile.gettempdir(), f"narrows-data-{name}.lock").open("a") as file:
        fcntl.flock(file, kind)
        yield
