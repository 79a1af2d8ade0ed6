"""Blobs as objects of an S3 bucket, through Optuna's S3 store. Needs the extra `s3`.

boto3 finds the credentials and the address of the service, for example in AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from optuna.artifacts import Boto3ArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from storage.blobs.blob_store import BlobFile, BlobStore, as_blob_errors, check_blob_id
from storage.errors import BlobMissingError, BlobStoreError, InvalidArtifactsError

if TYPE_CHECKING:
    from botocore.client import BaseClient

ADDRESS = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]+)(?:/(?P<prefix>[^?#]*))?")
CONNECT_SECONDS = 10
READ_SECONDS = 60


def open_bucket(address: str) -> BlobStore:
    """The store at s3://bucket/prefix. Raises InvalidArtifactsError, also if boto3 is not installed."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise InvalidArtifactsError(f"artifacts must be a folder or s3://bucket/prefix: {address}")
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError as error:
        raise InvalidArtifactsError(
            f"{address} needs boto3, which is not installed: pip install 'narrows[s3]'"
        ) from error
    try:
        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        client = boto3.client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise InvalidArtifactsError(f"{address} cannot be used: {error}") from error
    return BucketStore(client, found["bucket"], (found["prefix"] or "").strip("/"))


class BucketStore:
    """Blobs as objects `PREFIX/ID`. Uploads are buffered in an unnamed temporary file, in TMPDIR."""

    def __init__(self, client: "BaseClient", bucket: str, prefix: str) -> None:
        self._client: Any = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._store = Boto3ArtifactStore(bucket, self._client, avoid_buf_copy=True)

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def check(self) -> None:
        """Check that the bucket answers. Raises InvalidArtifactsError."""
        try:
            with _as_blob_errors_of_s3():
                self._client.head_bucket(Bucket=self._bucket)
        except BlobStoreError as error:
            raise InvalidArtifactsError(f"artifacts must go to a bucket that answers: {self}: {error}") from error

    def begin(self, blob_id: str) -> BlobFile:
        """A temporary file to write a new blob to."""
        check_blob_id(blob_id)
        with as_blob_errors():
            return BlobFile(cast("BinaryIO", tempfile.TemporaryFile()))

    def finish(self, blob_id: str, blob: BlobFile) -> None:
        """Upload the written bytes."""
        with as_blob_errors(), _as_blob_errors_of_s3():
            blob.file.seek(0)
            self._store.write(self._key(blob_id), blob.file)

    def open(self, blob_id: str) -> BinaryIO:
        """Open a blob to read it. Raises BlobMissingError."""
        with _as_blob_errors_of_s3():
            try:
                return self._store.open_reader(self._key(blob_id))
            except ArtifactNotFound as error:
                raise BlobMissingError(f"{self} has no blob {blob_id}") from error

    def remove(self, blob_id: str) -> None:
        """Remove a blob, and the parts of an unfinished upload of it."""
        key = self._key(blob_id)
        with _as_blob_errors_of_s3():
            self._store.remove(key)
            # A killed service leaves the parts of an unfinished upload behind: they use space without being an object.
            parts = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key)
            for upload in parts.get("Uploads", ()):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload["UploadId"])

    def _key(self, blob_id: str) -> str:
        return f"{self._prefix}{check_blob_id(blob_id)}"


@contextmanager
def _as_blob_errors_of_s3() -> Iterator[None]:
    """Raise errors of boto3 as BlobStoreError."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise BlobStoreError(f"S3 does not take or give the artifact: {error}") from error
