import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Read = TypeVar("Read")

MISSING = (OSError, RuntimeError)
"""What torchvision raises for a data set that is not there, or not whole."""


def read_or_download(read: Callable[[bool], Read], root: Path) -> Read:
    """Call `read(False)`, and `read(True)`, which may download, only when the data is missing in `root`.

    Many workers of one machine start at once: one downloads, and nobody reads what is half written.
    """
    with _lock(root, fcntl.LOCK_SH):
        try:
            return read(False)
        except MISSING:
            pass
    with _lock(root, fcntl.LOCK_EX):
        try:
            return read(False)
        except MISSING:
            root.mkdir(parents=True, exist_ok=True)
            return read(True)


@contextmanager
def _lock(root: Path, kind: int) -> Iterator[None]:
    # Outside of the data directory, which may be read-only.
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    with Path(tempfile.gettempdir(), f"narrows-data-{name}.lock").open("a") as file:
        fcntl.flock(file, kind)
        yield
