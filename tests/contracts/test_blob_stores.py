"""Every store of blobs does the same: a folder, and a bucket of a real server that speaks S3."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import (
    BlobFile,
    BlobMissingError,
    BlobStore,
    BlobStoreError,
    BlobStoreFullError,
    FolderStore,
    InvalidArtifactsError,
    open_artifacts,
)
from storage.blobs.bucket_store import BucketStore
from storage.database.opening import parse_url
from tests.conftest import free_tcp_port
from tests.s3_server import Bucket, S3Server, s3_server

LARGE = 20 * 1024**2
"""More than boto3 sends in one piece."""

Stored = tuple[BlobStore, Callable[[], list[str]]]
"""A store, and the names of all that is in it."""

bounded = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server(free_tcp_port()) as server:
        yield server


@pytest.fixture
def bucket(server: S3Server) -> Bucket:
    return server.make_bucket()


@pytest.fixture(params=["folder", "bucket", "bucket with a prefix"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    if request.param == "folder":
        folder = tmp_path / "artifacts"
        return FolderStore(folder), lambda: [path.name for path in folder.glob("**/*")]
    bucket: Bucket = request.getfixturevalue("bucket")
    prefix = "a/b" if "prefix" in request.param else ""
    return BucketStore(bucket.client, bucket.name, prefix), bucket.keys


def write(store: BlobStore, content: bytes) -> str:
    blob_id = secrets.token_hex(16)
    blob = store.begin(blob_id)
    blob.write(content)
    store.finish(blob_id, blob)
    blob.close()
    return blob_id


def read(store: BlobStore, blob_id: str) -> bytes:
    file = store.open(blob_id)
    try:
        return file.read()
    finally:
        file.close()


@bounded
@given(chunks=st.lists(st.binary(max_size=40), max_size=5))
def test_a_blob_comes_back_as_it_was_written(stored: Stored, chunks: list[bytes]) -> None:
    store, _ = stored
    blob_id = secrets.token_hex(16)
    blob = store.begin(blob_id)
    for chunk in chunks:
        blob.write(chunk)
    store.finish(blob_id, blob)
    blob.close()

    assert blob.size_bytes == len(b"".join(chunks))
    assert read(store, blob_id) == b"".join(chunks)


def test_a_large_blob_is_read_in_pieces(stored: Stored) -> None:
    store, _ = stored
    content = os.urandom(LARGE)
    file = store.open(write(store, content))
    pieces = list(iter(lambda: file.read(1024**2), b""))
    file.close()

    assert b"".join(pieces) == content
    assert len(pieces) >= 20


def test_what_is_not_finished_cannot_be_opened_and_can_be_removed(stored: Stored) -> None:
    store, names = stored
    blob_id = secrets.token_hex(16)
    blob = store.begin(blob_id)
    blob.write(b"half")

    with pytest.raises(BlobMissingError, match=blob_id):
        store.open(blob_id)
    store.remove(blob_id)
    blob.close()
    assert names() == []


def test_a_blob_is_removed_alone(stored: Stored) -> None:
    store, names = stored
    removed, kept = write(store, b"removed"), write(store, b"kept")

    for _ in range(2):
        store.remove(removed)

    assert len(names()) == 1
    assert read(store, kept) == b"kept"
    with pytest.raises(BlobMissingError):
        store.open(removed)


@bounded
@given(blob_id=st.text(max_size=40) | st.from_regex(r"[0-9a-f./\\-]{30,34}") | st.just("../" + "0" * 29))
def test_nothing_but_an_id_of_ours_becomes_a_path(stored: Stored, blob_id: str) -> None:
    store, names = stored
    if len(blob_id) == 32 and set(blob_id) <= set("0123456789abcdef"):
        return
    for call in (store.begin, store.open, store.remove):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            call(blob_id)
    assert names() == []


def test_a_store_that_works_passes_its_check(stored: Stored) -> None:
    stored[0].check()


# A folder


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    folder = tmp_path / "artifacts"
    folder.mkdir()
    store = FolderStore(folder)
    blob_id = "0" * 32
    (folder / f"{blob_id}.part").symlink_to(outside)
    (folder / blob_id).symlink_to(outside)

    with pytest.raises(BlobStoreError, match="File exists"):
        store.begin(blob_id)
    with pytest.raises(BlobStoreError, match="symbolic links"):
        store.open(blob_id)
    store.remove(blob_id)

    assert outside.read_bytes() == b"mine"
    assert list(folder.iterdir()) == []


def test_a_disk_without_room_is_told_from_other_errors() -> None:
    said = "there is no room for the artifact: No space left on device"
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(BlobStoreFullError, match=said):
        BlobFile(full).write(b"x")
    with Path("/dev/null").open("rb") as read_only, pytest.raises(BlobStoreError, match="cannot be kept or read"):
        BlobFile(read_only).write(b"x")


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "/proc/nowhere"])
def test_a_place_that_is_no_folder_is_refused_at_once(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("x")

    with pytest.raises(InvalidArtifactsError, match="artifacts must go to a folder"):
        FolderStore(tmp_path / place).check()


@pytest.mark.parametrize(
    ("address", "database", "place"),
    [
        (None, "sqlite:////data/sets/narrows.db", "/data/sets/narrows-artifacts"),
        (None, "sqlite:///narrows.db", "{here}/narrows-artifacts"),
        (None, "postgresql://user@host/name", "{here}/narrows-artifacts"),
        ("", "sqlite:////data/narrows.db", "/data/narrows-artifacts"),
        ("files", "sqlite:////data/narrows.db", "{here}/files"),
        ("/var/files", "postgresql://user@host/name", "/var/files"),
    ],
)
def test_where_artifacts_go(address: str | None, database: str, place: str) -> None:
    assert str(open_artifacts(address, parse_url(database))) == place.format(here=Path.cwd())


# A bucket


@pytest.mark.parametrize(
    "address", ["gs://bucket", "http://host/x", "s3://", "s3:///prefix", "s3://b?x=1", "s3://a b/"]
)
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(InvalidArtifactsError, match="must be a folder or s3://bucket/prefix"):
        open_artifacts(address, parse_url("sqlite:///narrows.db"))


@pytest.mark.processes
def test_without_boto3_an_address_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['boto3'] = None\n"
        "from storage import open_artifacts; from storage.database.opening import parse_url\n"
        "open_artifacts('s3://bucket/a', parse_url('sqlite:///narrows.db'))"
    )
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        "s3://bucket/a needs boto3, which is not installed: pip install 'narrows[s3]'" in failed.stderr.splitlines()[-1]
    )


@pytest.mark.processes
def test_a_bucket_that_is_not_there_is_refused_at_once(server: S3Server) -> None:
    with pytest.raises(InvalidArtifactsError, match=r"bucket that answers: s3://no-such-bucket/: .*404"):
        BucketStore(server.client, "no-such-bucket", "").check()


def test_parts_that_a_killed_service_left_are_removed(bucket: Bucket) -> None:
    store = BucketStore(bucket.client, bucket.name, "p")
    blob_id = secrets.token_hex(16)
    for key in (f"p/{blob_id}", "p/other"):
        begun = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
        part = {"Bucket": bucket.name, "Key": key, "UploadId": begun["UploadId"], "PartNumber": 1, "Body": b"x"}
        bucket.client.upload_part(**part)

    store.remove(blob_id)

    left: list[Any] = bucket.client.list_multipart_uploads(Bucket=bucket.name)["Uploads"]
    assert [upload["Key"] for upload in left] == ["p/other"]


def test_a_bucket_that_does_not_answer_is_an_error_of_the_store() -> None:
    port = free_tcp_port()
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", aws_access_key_id="x", aws_secret_access_key="x", region_name="x"
    )
    with pytest.raises(BlobStoreError, match="S3 does not take or give the artifact"):
        BucketStore(client, "bucket", "").open("0" * 32)
