"""Blobs by id, and the file that one is written to.

The bytes of one upload are a blob under an id that we make; no name that a user chose becomes a path.
"""

import errno
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from storage.errors import BlobStoreError, BlobStoreFullError

BLOB_ID = re.compile(r"[0-9a-f]{32}")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BlobStore(Protocol):
    """Blobs by id (32 hexadecimal digits; ValueError for anything else). May be used by several threads.

    All but `check` raise BlobStoreError when the store does not work.
    """

    def check(self) -> None:
        """Raises InvalidArtifactsError when nothing can be kept here."""

    def begin(self, blob_id: str) -> "BlobFile":
        """Somewhere to write a blob. Until it is finished, nobody can open it."""

    def finish(self, blob_id: str, blob: "BlobFile") -> None:
        """Keep what was written, durably and whole."""

    def open(self, blob_id: str) -> BinaryIO:
        """A blob to read. Raises BlobMissingError."""

    def remove(self, blob_id: str) -> None:
        """Remove a blob, or what was written of it. It is no error when there is nothing."""


class BlobFile:
    """A blob that is being written: it is counted and hashed as it grows. Its writes raise BlobStoreError."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size_bytes = 0
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of all that was written so far, in hexadecimal."""
        return self._sha256.hexdigest()

    def write(self, chunk: bytes) -> None:
        with translated():
            self.file.write(chunk)
        self.size_bytes += len(chunk)
        self._sha256.update(chunk)

    def close(self) -> None:
        with translated():
            self.file.close()


def checked(blob_id: str) -> str:
    """Raises ValueError for what is no id of a blob."""
    if not BLOB_ID.fullmatch(blob_id):
        raise ValueError(f"a blob's id must be 32 hexadecimal digits: {blob_id[:40]!r}")
    return blob_id


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the operating system into ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in NO_ROOM:
            raise BlobStoreFullError(f"there is no room for the artifact: {reason}") from error
        raise BlobStoreError(f"the artifact cannot be kept or read: {reason}") from error
