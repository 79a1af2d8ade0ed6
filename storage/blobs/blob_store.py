"""The blob store: its contract, and the file that a blob is written to.

The bytes of one upload are a blob with a random id, so no name that a user chose becomes a path.
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
    """Blobs by id: 32 hexadecimal digits, ValueError for any other id. Thread-safe.

    All methods but `check` raise BlobStoreError if the store does not work.
    """

    def check(self) -> None:
        """Raises InvalidArtifactsError if blobs cannot be stored here."""

    def begin(self, blob_id: str) -> "BlobFile":
        """A file to write a new blob to. The blob cannot be opened before `finish`."""

    def finish(self, blob_id: str, blob: "BlobFile") -> None:
        """Store the written bytes durably, all or nothing."""

    def open(self, blob_id: str) -> BinaryIO:
        """Open a blob to read it. Raises BlobMissingError."""

    def remove(self, blob_id: str) -> None:
        """Remove a blob, finished or not. Nothing happens if there is none."""


class BlobFile:
    """A blob that is being written, with its size and hash so far. Writes raise BlobStoreError."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size_bytes = 0
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in hexadecimal."""
        return self._sha256.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        with as_blob_errors():
            self.file.write(chunk)
        self.size_bytes += len(chunk)
        self._sha256.update(chunk)

    def close(self) -> None:
        """Close the file."""
        with as_blob_errors():
            self.file.close()


def check_blob_id(blob_id: str) -> str:
    """The id itself. Raises ValueError if it is not a blob id."""
    if not BLOB_ID.fullmatch(blob_id):
        raise ValueError(f"a blob's id must be 32 hexadecimal digits: {blob_id[:40]!r}")
    return blob_id


@contextmanager
def as_blob_errors() -> Iterator[None]:
    """Raise errors of the operating system as BlobStoreError or BlobStoreFullError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in NO_ROOM:
            raise BlobStoreFullError(f"there is no room for the artifact: {reason}") from error
        raise BlobStoreError(f"the artifact cannot be kept or read: {reason}") from error
