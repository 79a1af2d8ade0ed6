"""Artifacts: taken in under a live lease, whole or not at all, listed, given out, replaced, deleted."""

import hashlib
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.artifact_driver import CONTENT, digest, put
from tests.integration.service_driver import (
    LEASE_SECONDS,
    Json,
    Service,
    code_of,
)


@pytest.fixture
def study(service: Service) -> str:
    return service.create(n_trials=100)


@pytest.fixture
def lease(service: Service, study: str) -> Json:
    return service.claim_one(study)


def test_what_was_uploaded_is_listed_and_comes_back(each_service: Service) -> None:
    study = each_service.create()
    lease = each_service.claim_one(study)

    answer = each_service.upload(lease, "best-model", CONTENT, 7, **{"Content-Digest": digest(CONTENT)})

    assert answer == {
        "name": "best-model",
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "step": 7,
        "attempt": 1,
        "created_at": each_service.clock.now().isoformat().replace("+00:00", "Z"),
    }
    assert each_service.artifacts(study, 0) == [answer]
    response = each_service.http.get(f"/v1/artifacts/{study}/0/best-model")
    assert response.content == CONTENT
    assert response.headers["content-length"] == str(len(CONTENT))
    assert response.headers["content-digest"] == digest(CONTENT)
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == 'attachment; filename="best-model"'
    tag = response.headers["etag"]
    again = each_service.http.get(f"/v1/artifacts/{study}/0/best-model", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 50) | st.integers(0, 700_000), max_size=4))
def test_content_is_kept_to_the_byte_however_it_is_cut(
    service: Service, study: str, lease: Json, sizes: list[int]
) -> None:
    chunks = [CONTENT[size : 2 * size] for size in sizes]

    kept = service.upload(lease, "model", iter(chunks))

    assert kept["size_bytes"] == sum(map(len, chunks))
    assert service.download(study, lease["trial_number"], "model") == b"".join(chunks)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=8) | st.from_regex(r"[A-Za-z0-9._-]{1,8}", fullmatch=True) | st.text("./\\"))
def test_a_name_is_kept_as_it_is_or_refused(service: Service, study: str, lease: Json, name: str) -> None:
    try:
        path = quote(name, safe="")
    except UnicodeEncodeError:  # half of a surrogate pair is no part of a URL
        return
    response = put(service, lease, path, name.encode())

    if response.status_code == 200:
        assert response.json()["name"] == name
        assert name[0].isalnum()
        assert not set(name) & set("/\\\0\n ")
        assert service.download(study, lease["trial_number"], path) == name.encode()
    else:
        assert code_of(response, response.status_code) in (
            "invalid",
            "not_found",
            "method_not_allowed",
            "too_many_artifacts",
        )


@pytest.mark.parametrize(
    "name", ["..", ".", "%2e%2e", "a%2Fb", "..%2f..%2fetc", "x" * 129, "-x", "a%00", "%C3%A9", "a b"]
)
def test_a_name_that_could_be_a_path_is_refused(service: Service, lease: Json, name: str) -> None:
    assert put(service, lease, name).status_code in (404, 405, 422)


def test_an_artifact_is_replaced_by_the_next_of_its_name(each_service: Service) -> None:
    study = each_service.create()
    lease = each_service.claim_one(study)
    before = len(each_service.blob_files())
    each_service.upload(lease, "model", b"first")
    each_service.upload(lease, "model", b"second", 3)

    (kept,) = each_service.artifacts(study, 0)
    assert (kept["size_bytes"], kept["step"]) == (6, 3)
    assert each_service.download(study, 0, "model") == b"second"
    assert len(each_service.blob_files()) == before + 1, "the first one is removed"


def test_the_same_upload_again_gets_the_same_answer(service: Service, lease: Json) -> None:
    first = service.upload(lease, "model", CONTENT, 3)

    assert service.upload(lease, "model", CONTENT, 3) == first


def test_artifacts_live_through_a_restart(fresh_service: Service) -> None:
    study = fresh_service.create()
    lease = fresh_service.claim_one(study)
    fresh_service.upload(lease, "model", b"old")
    kept = [fresh_service.upload(lease, name, name.encode()) for name in ("log.txt", "model")]

    fresh_service.restart()

    assert fresh_service.artifacts(study, 0) == kept
    assert fresh_service.download(study, 0, "model") == b"model"
    assert len(fresh_service.blob_files()) == 2
    fresh_service.upload(lease, "model", b"new")
    assert fresh_service.download(study, 0, "model") == b"new"


@pytest.mark.parametrize("how", ["complete", "fail", "release", "expire", "unknown", "deleted"])
def test_an_upload_needs_a_live_lease(service: Service, study: str, lease: Json, how: str) -> None:
    match how:
        case "complete":
            service.complete(lease)
        case "fail":
            service.fail(lease)
        case "release":
            service.release(lease)
        case "expire":
            service.clock.advance(LEASE_SECONDS)
        case "unknown":
            lease = {"lease_id": "f" * 32}
        case "deleted":
            service.http.delete(f"/v1/studies/{study}")
    status = 404 if how in ("unknown", "deleted") else 409

    code = code_of(put(service, lease), status)

    assert code == {"expire": "lease_lost", "unknown": "lease_not_found", "deleted": "lease_not_found"}.get(
        how, "lease_closed"
    )


def test_a_lease_that_ends_during_an_upload_ends_the_upload(service: Service, study: str, lease: Json) -> None:
    before = service.blob_files()

    def pieces() -> Iterator[bytes]:
        yield CONTENT
        service.clock.advance(LEASE_SECONDS)
        yield CONTENT

    assert code_of(put(service, lease, content=pieces()), 409) == "lease_lost"
    assert service.artifacts(study, lease["trial_number"]) == []
    assert service.blob_files() == before


def test_an_upload_gives_a_fresh_term(service: Service, lease: Json) -> None:
    for _ in range(3):
        service.clock.advance(LEASE_SECONDS * 0.9)
        service.upload(lease, "model", b"x")

    assert service.report(lease, 0) == "continue"


@pytest.mark.parametrize("path", ["/studies/no-such/trials/0/artifacts", "/artifacts/no-such/0/model"])
def test_artifacts_of_an_unknown_study_are_not_found(service: Service, path: str) -> None:
    assert code_of(service.http.get(f"/v1{path}"), 404) == "study_not_found"


def test_what_is_not_there_is_not_found(service: Service, study: str, lease: Json) -> None:
    number = lease["trial_number"]
    assert code_of(service.http.get(f"/v1/artifacts/{study}/{number}/model"), 404) == "artifact_not_found"
    assert code_of(service.http.get(f"/v1/artifacts/{study}/99/model"), 404) == "trial_not_found"
    assert code_of(service.http.get(f"/v1/studies/{study}/trials/99/artifacts"), 404) == "trial_not_found"


def test_a_file_that_somebody_took_away_is_not_found(sqlite_service: Service) -> None:
    study = sqlite_service.create()
    sqlite_service.upload(sqlite_service.claim_one(study), "model", b"x")
    for name in sqlite_service.blob_files():
        (sqlite_service.folder / name).unlink()

    assert code_of(sqlite_service.http.get(f"/v1/artifacts/{study}/0/model"), 404) == "artifact_not_found"


def test_artifacts_are_deleted_with_their_study(each_service: Service) -> None:
    kept_study, study = each_service.create(), each_service.create(n_trials=2)
    kept = each_service.claim_one(kept_study)
    each_service.upload(kept, "model", b"kept")
    before = each_service.blob_files()
    for lease in each_service.claim(study, max_trials=2):
        each_service.upload(lease, "model", b"x")
        each_service.upload(lease, "checkpoint", b"y", 0)
    assert len(each_service.blob_files()) == len(before) + 4

    assert each_service.http.delete(f"/v1/studies/{study}").status_code == 204

    assert each_service.blob_files() == before
    assert each_service.download(kept_study, 0, "model") == b"kept"


def test_a_crash_between_the_deletion_and_its_files_leaves_nothing(fresh_service: Service) -> None:
    """The files are put back behind the service's back, as if it had died before it removed them."""
    study = fresh_service.create()
    fresh_service.upload(fresh_service.claim_one(study), "model", b"x")
    (name,) = fresh_service.blob_files()
    fresh_service.store.artifacts.reserve("0" * 32)
    fresh_service.close()
    (fresh_service.folder / ("0" * 32 + ".part")).write_bytes(b"half")

    fresh_service._open()

    assert fresh_service.blob_files() == [name]
    assert fresh_service.download(study, 0, "model") == b"x"


@pytest.mark.parametrize("how", ["complete", "fail", "prune", "stop", "expire"])
def test_checkpoints_are_deleted_when_the_trial_ends_and_models_are_kept(sqlite_service: Service, how: str) -> None:
    service = sqlite_service
    pruner = {"name": "threshold", "lower": 0.4} if how == "prune" else "none"
    study = service.create(n_trials=2, max_attempts=1, pruner=pruner)
    lease = service.claim_one(study)
    service.upload(lease, "checkpoint", b"weights", 0)
    service.upload(lease, "model", b"best")
    match how:
        case "complete":
            service.complete(lease)
        case "fail":
            service.fail(lease)
        case "prune":
            assert service.report(lease, 0, 0.1) == "prune"
        case "stop":
            service.change(study, state="stopped")
            assert service.report(lease, 0) == "stop"
        case "expire":
            service.clock.advance(LEASE_SECONDS)
            service.study(study)

    assert service.trial(study, 0)["state"] in ("COMPLETE", "FAIL", "PRUNED")
    assert [found["name"] for found in service.artifacts(study, 0)] == ["model"]
    assert len(service.blob_files()) == 1


@pytest.mark.parametrize("how", ["fail", "release", "expire"])
def test_checkpoints_are_kept_when_the_trial_is_tried_again(service: Service, how: str) -> None:
    study = service.create(n_trials=1)
    lease = service.claim_one(study)
    service.upload(lease, "checkpoint", b"weights", 0)
    match how:
        case "fail":
            service.fail(lease, retry=True)
        case "release":
            service.release(lease)
        case "expire":
            service.clock.advance(LEASE_SECONDS)

    again = service.claim_one(study)

    assert again["resume"] == {"step": 0, "artifact": "checkpoint"}
    assert service.download(study, 0, "checkpoint") == b"weights"
