"""Open the blob store at an address: a folder, or a bucket of an S3 service."""

from pathlib import Path

from sqlalchemy import URL

from storage.blobs.blob_store import BlobStore
from storage.blobs.folder_store import FolderStore
from storage.errors import InvalidArtifactsError

FOLDER = "narrows-artifacts"


def open_artifacts(address: str | None, database: URL) -> BlobStore:
    """The store at `s3://bucket/prefix` or in a folder. The default folder is beside the SQLite file, or else here.

    Raises InvalidArtifactsError.
    """
    if address and address.startswith("s3://"):
        from storage.blobs.bucket_store import open_bucket

        return open_bucket(address)
    if address and "://" in address:
        raise InvalidArtifactsError(f"artifacts must be a folder or s3://bucket/prefix: {address}")
    is_file = database.drivername.startswith("sqlite")
    beside = Path(database.database or "").parent if is_file else Path()
    return FolderStore((Path(address) if address else beside / FOLDER).absolute())
