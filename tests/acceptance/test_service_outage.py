"""The database goes away under a service, and comes back: nobody is told what is not kept, nothing is kept twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from storage import GroupCommitStorage, Store
from tests.acceptance.postgres_cluster import PostgresCluster, find_programs
from tests.conftest import skip_or_fail
from tests.integration.service_driver import definition, problem_of

WAIT_SECONDS = 0.5


@pytest.fixture
def cluster(tmp_path: Path, free_port: int) -> Iterator[PostgresCluster]:
    programs = find_programs()
    if programs is None:
        skip_or_fail("NO POSTGRESQL SERVER PROGRAMS (initdb, pg_ctl)", "NARROWS_REQUIRE_POSTGRES")
    cluster = PostgresCluster(programs, tmp_path, free_port)
    cluster.start()
    yield cluster
    if cluster.is_running():
        cluster.stop()


@pytest.fixture
def http(cluster: PostgresCluster) -> Iterator[TestClient]:
    store = Store(GroupCommitStorage(cluster.url, wait_seconds=WAIT_SECONDS))
    with TestClient(create_app(store), raise_server_exceptions=False) as client:
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
    first, second = definition(name="first", n_trials=3), definition(name="second", n_trials=1)
    assert http.post("/v1/studies", json=first).status_code == 201
    lease_id = claim(http, "one").json()["leases"][0]["lease_id"]
    assert report(http, lease_id, 0).status_code == 200
    other_id = claim(http, "two").json()["leases"][0]["lease_id"]

    cluster.stop()
    calls: list[Callable[[], Any]] = [
        lambda: http.post("/v1/studies", json=second),
        lambda: claim(http, "three"),
        lambda: report(http, lease_id, 1),
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
    answers = [call() for call in calls]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200], [answer.text for answer in answers]
    assert answers[2].json()["decisions"][0]["decision"] == "continue"
    assert [answer.json()["state"] for answer in answers[3:]] == ["COMPLETE", "WAITING"]
    assert http.get("/readyz").status_code == 200
    counts = http.get("/v1/studies/first").json()["trial_counts"]
    assert counts == {"WAITING": 1, "RUNNING": 1, "COMPLETE": 1, "PRUNED": 0, "FAIL": 0}
    assert http.get("/v1/studies/first/trials/0/curves").json()["steps"] == [0, 1]
