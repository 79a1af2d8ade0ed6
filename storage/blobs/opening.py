"""Where the bytes of artifacts are: in a folder, or in a bucket of a service that speaks S3.

The bytes of one upload are a blob under an id that we make; no name that a user chose becomes a path.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from sqlalchemy import URL

from storage.errors import BlobMissingError, BlobStoreError, BlobStoreFullError, InvalidArtifactsError

BLOB_ID = re.compile(r"[0-9a-f]{32}")
FOLDER = "narrows-artifacts"
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


class FolderStore:
    """Blobs as files of one folder: `ID`, and `ID.part` while one is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def check(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidArtifactsError(f"artifacts must go to a folder: {self._folder}: {error.strerror}") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise InvalidArtifactsError(f"artifacts must go to a folder that can be written to: {self._folder}")

    def begin(self, blob_id: str) -> BlobFile:
        with translated():
            self._folder.mkdir(parents=True, exist_ok=True)
            # A new file in any case, and not what a link that somebody put there leads to.
            part = os.open(self._part(blob_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
            return BlobFile(os.fdopen(part, "wb"))

    def finish(self, blob_id: str, blob: BlobFile) -> None:
        with translated():
            blob.file.flush()
            os.fsync(blob.file.fileno())
            self._part(blob_id).rename(self._path(blob_id))
            self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def open(self, blob_id: str) -> BinaryIO:
        with translated():
            try:
                file = os.open(self._path(blob_id), os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError as error:
                raise BlobMissingError(f"{self._folder} has no blob {blob_id}") from error
            return os.fdopen(file, "rb")

    def remove(self, blob_id: str) -> None:
        with translated():
            self._part(blob_id).unlink(missing_ok=True)
            self._path(blob_id).unlink(missing_ok=True)

    def _path(self, blob_id: str) -> Path:
        return self._folder / checked(blob_id)

    def _part(self, blob_id: str) -> Path:
        return self._folder / f"{checked(blob_id)}.part"


def open_artifacts(address: str | None, database: URL) -> BlobStore:
    """The store at `s3://bucket/prefix` or in a folder; by default in one beside the SQLite file, or here.

    Raises InvalidArtifactsError.
    """
    if address and address.startswith("s3://"):
        from storage.blobs.bucket import open_bucket

        return open_bucket(address)
    if address and "://" in address:
        raise InvalidArtifactsError(f"artifacts must be a folder or s3://bucket/prefix: {address}")
    is_file = database.drivername.startswith("sqlite")
    beside = Path(database.database or "").parent if is_file else Path()
    return FolderStore((Path(address) if address else beside / FOLDER).absolute())


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
