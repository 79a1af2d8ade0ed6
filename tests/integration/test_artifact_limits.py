"""Uploads that are too large, damaged, unreadable or too slow."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator

import pytest

from service.errors import IncompleteUploadError
from service.leases.artifacts import MAX_ARTIFACTS, Artifacts
from storage import BlobFile, FolderStore
from tests.integration.artifact_driver import CONTENT, digest, put
from tests.integration.service_driver import (
    MAX_ARTIFACT_BYTES,
    Json,
    Service,
    errors_of,
    problem_of,
)


@pytest.fixture
def study(service: Service) -> str:
    return service.create(n_trials=100)


@pytest.fixture
def lease(service: Service, study: str) -> Json:
    return service.claim_one(study)


@pytest.mark.parametrize("declared", [True, False])
def test_what_is_too_large_is_refused(service: Service, study: str, lease: Json, declared: bool) -> None:
    before = service.blob_files()
    largest = b"\0" * MAX_ARTIFACT_BYTES

    def pieces() -> Iterator[bytes]:
        yield largest
        yield b"\0"

    response = put(service, lease, content=largest + b"\0" if declared else pieces())

    problem = problem_of(response, 413)
    assert (problem["code"], problem["detail"]) == (
        "too_large",
        f"an artifact must have at most {MAX_ARTIFACT_BYTES} bytes",
    )
    assert service.artifacts(study, lease["trial_number"]) == []
    assert service.blob_files() == before
    assert service.upload(lease, "model", largest)["size_bytes"] == MAX_ARTIFACT_BYTES


def test_a_wrong_digest_is_refused_and_the_earlier_content_stays(service: Service, study: str, lease: Json) -> None:
    service.upload(lease, "model", b"good")
    before = service.blob_files()

    response = put(service, lease, content=b"damaged", headers={"Content-Digest": digest(b"good")})

    wrong, right = hashlib.sha256(b"damaged").hexdigest(), hashlib.sha256(b"good").hexdigest()
    assert errors_of(response) == {"Content-Digest": f"the content has the SHA-256 {wrong}, not {right}"}
    assert service.download(study, lease["trial_number"], "model") == b"good"
    assert service.blob_files() == before


@pytest.mark.parametrize("header", ["", "x", "sha-256=abc", "sha-256=:AAAA:", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"])
def test_a_digest_that_cannot_be_read_is_refused(service: Service, lease: Json, header: str) -> None:
    response = put(service, lease, headers={"Content-Digest": header})

    assert "sha-256=:BASE64:" in errors_of(response)["Content-Digest"]


def test_a_digest_among_others_is_found(service: Service, lease: Json) -> None:
    headers = {"Content-Digest": f"sha-512=:AAAA:, {digest(b'x')}"}

    assert put(service, lease, content=b"x", headers=headers).status_code == 200


@pytest.mark.parametrize("step", ["-1", "x", "1.5", "2147483648"])
def test_a_bad_step_is_refused(service: Service, lease: Json, step: str) -> None:
    assert "step" in errors_of(put(service, lease, params={"step": step}))


def test_a_checkpoint_without_a_step_is_refused(service: Service, lease: Json) -> None:
    assert errors_of(put(service, lease, "checkpoint")) == {"step": "step must be given with a checkpoint"}


def test_a_trial_has_so_many_artifacts_and_no_more(service: Service, study: str, lease: Json) -> None:
    for number in range(MAX_ARTIFACTS):
        service.upload(lease, f"a{number}", b"x")

    response = put(service, lease, "one-more")

    assert problem_of(response, 409)["detail"] == f"a trial must have at most {MAX_ARTIFACTS} artifacts"
    assert service.upload(lease, "a0", b"replaced")
    assert len(service.artifacts(study, lease["trial_number"])) == MAX_ARTIFACTS


class FullStore(FolderStore):
    """A folder on a disk without room."""

    def begin(self, blob_id: str) -> BlobFile:
        super().begin(blob_id).close()
        return BlobFile(open("/dev/full", "wb"))  # noqa: PTH123 - who asks for it closes it


def test_a_full_disk_is_said_and_leaves_nothing(sqlite_service: Service) -> None:
    sqlite_service.close()
    sqlite_service.blobs = FullStore(sqlite_service.folder)
    sqlite_service._open()
    study = sqlite_service.create()
    lease = sqlite_service.claim_one(study)

    response = put(sqlite_service, lease, content=CONTENT)

    problem = problem_of(response, 507)
    assert problem["code"] == "insufficient_storage"
    assert problem["detail"] == "there is no room for the artifact: No space left on device"
    assert sqlite_service.artifacts(study, 0) == []
    assert sqlite_service.blob_files() == []


def test_an_upload_that_stands_still_is_given_up(sqlite_service: Service) -> None:
    lease = sqlite_service.claim_one(sqlite_service.create())
    registry, blobs = sqlite_service.app.state.registry, sqlite_service.blobs
    artifacts = Artifacts(registry, blobs, MAX_ARTIFACT_BYTES, stall_seconds=0.01)

    async def body() -> AsyncIterator[bytes]:
        yield CONTENT
        await asyncio.Event().wait()

    with pytest.raises(IncompleteUploadError, match=r"no bytes of the upload arrived for 0\.01 s"):
        asyncio.run(artifacts.upload_artifact(lease["lease_id"], "model", None, None, body()))

    assert sqlite_service.blob_files() == []
