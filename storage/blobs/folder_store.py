"""Blobs as files of one folder."""

import os
from pathlib import Path
from typing import BinaryIO

from storage.blobs.blob_store import BlobFile, as_blob_errors, check_blob_id
from storage.errors import BlobMissingError, InvalidArtifactsError


class FolderStore:
    """Blobs as files of one folder: `ID`, or `ID.part` until the blob is finished."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def check(self) -> None:
        """Create the folder if necessary, and check that it is writable. Raises InvalidArtifactsError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidArtifactsError(f"artifacts must go to a folder: {self._folder}: {error.strerror}") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise InvalidArtifactsError(f"artifacts must go to a folder that can be written to: {self._folder}")

    def begin(self, blob_id: str) -> BlobFile:
        """A new file to write a blob to."""
        with as_blob_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            # Always a new file: never one that exists, nor the target of a link.
            part = os.open(self._part(blob_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
            return BlobFile(os.fdopen(part, "wb"))

    def finish(self, blob_id: str, blob: BlobFile) -> None:
        """Flush the file to disk and give it its final name."""
        with as_blob_errors():
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
        """Open a blob to read it. Raises BlobMissingError."""
        with as_blob_errors():
            try:
                file = os.open(self._path(blob_id), os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError as error:
                raise BlobMissingError(f"{self._folder} has no blob {blob_id}") from error
            return os.fdopen(file, "rb")

    def remove(self, blob_id: str) -> None:
        """Remove the files of a blob, finished or not."""
        with as_blob_errors():
            self._part(blob_id).unlink(missing_ok=True)
            self._path(blob_id).unlink(missing_ok=True)

    def _path(self, blob_id: str) -> Path:
        return self._folder / check_blob_id(blob_id)

    def _part(self, blob_id: str) -> Path:
        return self._folder / f"{check_blob_id(blob_id)}.part"
