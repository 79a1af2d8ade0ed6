"""The database goes away under a service, and comes back: nobody is told what is not kept, nothing is kept twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.web.app import create_app
from storage import FolderStore, GroupCommitStorage, Store
from tests.acceptance.postgres_cluster import PostgresCluster
from tests.integration.service_driver import definition, local_client, problem_of
from tests.waiting import until

WAIT_SECONDS = 0.5


@pytest.fixture
def http(cluster: PostgresCluster, tmp_path: Path) -> Iterator[TestClient]:
    store = Store(GroupCommitStorage(cluster.url, wait_seconds=WAIT_SECONDS))
    with local_client(create_app(store, blobs=FolderStore(tmp_path / "artifacts"))) as client:
        yield client
    store.close()


def claim(http: TestClient, claim_id: str) -> Any:
    return http.post("/v1/claims", json={"claim_id": claim_id, "worker": {"id": "w"}, "study": "first"})


def report(http: TestClient, lease_id: str, step: int) -> Any:
    reports = [{"lease_id": lease_id, "step": step, "metrics": {"validation_accuracy": 0.5}}]
    return http.post("/v1/reports", json={"reports": reports})


def test_calls_are_refused_while_the_database_is_away_and_count_once_when_repeated(
    cluster: PostgresCluster, http: TestClient
) -> None:
    first, second = definition(name="first", n_trials=4), definition(name="second", n_trials=1)
    assert http.post("/v1/studies", json=first).status_code == 201
    lease_id = claim(http, "one").json()["leases"][0]["lease_id"]
    assert report(http, lease_id, 0).status_code == 200
    other_id = claim(http, "two").json()["leases"][0]["lease_id"]
    uploading_id = claim(http, "uploading").json()["leases"][0]["lease_id"]

    cluster.stop()
    calls: list[Callable[[], Any]] = [
        lambda: http.post("/v1/studies", json=second),
        lambda: claim(http, "three"),
        lambda: report(http, lease_id, 1),
        lambda: http.put(f"/v1/artifacts/{uploading_id}/model", content=b"weights"),
        lambda: http.post(f"/v1/leases/{lease_id}/complete", json={"values": [0.5]}),
        lambda: http.post(f"/v1/leases/{other_id}/fail", json={"reason": "gone", "retry": True}),
    ]
    for call in calls:
        response = call()
        assert problem_of(response, 503)["code"] == "database_unavailable"
        assert response.headers["retry-after"] == "2"
    assert http.get("/readyz").status_code == 503
    assert http.get("/healthz").status_code == 200

    cluster.start()
    until(lambda: http.get("/readyz").status_code == 200, "the service is ready again")
    answers = [call() for call in calls]
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert answers[2].json()["decisions"][0]["decision"] == "continue"
    assert [answer.json()["state"] for answer in answers[4:]] == ["COMPLETE", "WAITING"]
    counts = http.get("/v1/studies/first").json()["trial_counts"]
    assert counts == {"WAITING": 1, "RUNNING": 2, "COMPLETE": 1, "PRUNED": 0, "FAIL": 0}
    assert http.get("/v1/artifacts/first/2/model").content == b"weights"
    assert http.get("/v1/studies/first/trials/0/curves").json()["steps"] == [0, 1]
