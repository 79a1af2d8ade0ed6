"""The service itself: health, metrics, tokens, the dashboard, and a database that goes away."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import TrialState
from prometheus_client.parser import text_string_to_metric_families

from storage import Store
from storage.database import open_optuna_storage
from tests.integration.service_driver import (
    LEASE_SECONDS,
    Json,
    Service,
    code_of,
    definition,
    postgres_database,
    problem_of,
)

TOKEN = "correct horse"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(f"sqlite:///{tmp_path_factory.mktemp('guarded') / 'narrows.db'}", token=TOKEN) as service:
        yield service


# Health and metrics


def test_a_service_is_alive_and_ready(each_service: Service) -> None:
    for path in ("/healthz", "/readyz"):
        response = each_service.http.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_metrics_are_read_by_prometheus(service: Service) -> None:
    name = service.create(n_trials=4)
    service.run(name)
    service.claim_one(name)
    service.http.get("/no/such/path")
    service.http.post("/v1/studies", content="{", headers={"content-type": "application/yaml"})

    response = service.http.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    samples: dict[tuple[Any, ...], float] = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples["narrows_trials", ("state", "COMPLETE"), ("study", name)] == 1
    assert samples["narrows_trials", ("state", "RUNNING"), ("study", name)] == 1
    assert samples["narrows_open_leases", ("study", name)] == 1
    assert samples["narrows_workers",] >= 1
    assert samples["narrows_requests_total", ("method", "POST"), ("route", "/v1/claims"), ("status", "200")] >= 2
    routes = {dict(labels).get("route") for _, *labels in samples if labels}
    assert not any("no/such" in (route or "") for route in routes)
    assert not any(name in (route or "") for route in routes)


def test_a_study_made_from_yaml_is_counted_under_its_route(sqlite_service: Service) -> None:
    text = json.dumps(definition())  # JSON is YAML too
    sqlite_service.http.post("/v1/studies", content=text, headers={"content-type": "application/yaml"})

    text = sqlite_service.http.get("/metrics").text

    assert 'narrows_requests_total{method="POST",route="/v1/studies",status="201"} 1.0' in text


# Tokens


def basic(login: str) -> Json:
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer {TOKEN}"},
        basic(f"anybody:{TOKEN}"),
        basic(f":{TOKEN}"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/studies", "/metrics", "/api/studies", "/dashboard", "/docs", "/openapi.json"])
def test_a_token_opens_everything(guarded: Service, headers: Json, path: str) -> None:
    assert guarded.http.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Token {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /w=="},
        basic(TOKEN),
        basic(f"{TOKEN}:"),
        {"Authorization": "Bearer \u00e9".encode("latin-1").decode("latin-1")},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/studies"), ("POST", "/v1/claims"), ("GET", "/dashboard"), ("GET", "/docs"), ("GET", "/healthz/x")],
)
def test_without_the_token_nothing_opens(guarded: Service, headers: Json, method: str, path: str) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}

    response = guarded.http.request(method, path, headers=raw)

    assert problem_of(response, 401)["code"] == "unauthorized"
    assert "Basic" in response.headers["www-authenticate"]


def test_health_needs_no_token(guarded: Service) -> None:
    assert guarded.http.get("/healthz").status_code == 200
    assert guarded.http.get("/readyz").status_code == 200


def test_a_large_body_without_a_token_is_refused_unread(guarded: Service) -> None:
    assert guarded.http.post("/v1/studies", content=b"x" * 2_000_000).status_code == 401


# The dashboard


def test_the_dashboard_shows_the_studies(each_service: Service) -> None:
    name = each_service.create()
    each_service.run(name)

    page = each_service.http.get("/dashboard")
    studies = each_service.http.get("/api/studies")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert name in studies.text
    assert each_service.http.get("/", follow_redirects=True).status_code == 200


def test_the_dashboard_reads_one_study(service: Service) -> None:
    name = service.create()
    service.run(name, 2)
    study_id = service.store.optuna.get_study_id_from_name(name)

    assert len(service.http.get(f"/api/studies/{study_id}", params={"after": 0}).json()["trials"]) == 2
    assert service.http.get(f"/csv/{study_id}").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/api/studies", "/api/studies/1", "/api/trials/1/tell", "/dashboard", "/csv/1"])
def test_the_dashboard_changes_nothing(service: Service, method: str, path: str) -> None:
    name = service.create()

    assert code_of(service.http.request(method, path, json={}), 403) == "forbidden"
    assert service.study(name)["state"] == "running"


# A database that goes away


def test_a_service_whose_database_is_gone_says_so(tmp_path: Path) -> None:
    with postgres_database() as url:
        service = Service(url)
        name = service.create()
        lease = service.claim_one(name)
    # The database is dropped now.
    try:
        calls: list[tuple[str, str, Any]] = [
            ("GET", "/readyz", None),
            ("GET", "/v1/studies", None),
            ("GET", f"/v1/studies/{name}/trials", None),
            ("POST", "/v1/studies", definition()),
            ("POST", "/v1/claims", {"claim_id": "c", "worker": {"id": "w"}}),
            ("POST", "/v1/reports", {"reports": [{"lease_id": lease["lease_id"], "step": 0, "metrics": {"x": 1}}]}),
            ("POST", f"/v1/leases/{lease['lease_id']}/complete", {"values": [0.5]}),
            ("DELETE", f"/v1/studies/{name}", None),
        ]
        for method, path, body in calls:
            response = service.http.request(method, path, json=body)
            problem = problem_of(response, 503)
            assert problem["code"] == "database_unavailable"
            assert response.headers["retry-after"] == "2"
            assert url not in response.text
        assert service.http.get("/healthz").status_code == 200
    finally:
        service.close()


class FailingStorage(_CachedStorage):
    """Optuna's storage, in which chosen calls fail as they do when the connection is lost."""

    def __init__(self, storage: RDBStorage) -> None:
        self.failing: dict[str, int] = {}
        super().__init__(storage)

    def __getattribute__(self, name: str) -> Any:
        failing: dict[str, int] = object.__getattribute__(self, "__dict__").get("failing", {})
        if failing.get(name, 0) > 0:
            failing[name] -= 1
            raise StorageInternalError(f"the connection is lost: {name}")
        return object.__getattribute__(self, name)


class FailingService(Service):
    """A service on such a storage."""

    def _open_store(self) -> Store:
        store = Store.open(self.url)
        self.failures = store.optuna = FailingStorage(store._rdb)
        return store


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[FailingService]:
    with FailingService(f"sqlite:///{tmp_path / 'narrows.db'}") as service:
        yield service


def claim(service: Service, name: str, claim_id: str) -> Any:
    body = {"claim_id": claim_id, "worker": {"id": "w"}, "study": name, "max_trials": 2}
    return service.http.post("/v1/claims", json=body)


@pytest.mark.parametrize("call", ["create_new_trial", "set_trial_param", "set_trial_state_values"])
def test_no_trial_is_lost_when_the_database_fails_under_a_claim(failing: FailingService, call: str) -> None:
    name = failing.create(n_trials=4, enqueue=[{}, {}, {}])
    failing.failures.failing[call] = 1
    if call == "create_new_trial":
        claim(failing, name, "before")

    assert problem_of(claim(failing, name, "c"), 503)["code"] == "database_unavailable"

    leases = claim(failing, name, "c").json()["leases"] + claim(failing, name, "d").json()["leases"]
    assert len({lease["trial_number"] for lease in leases}) == len(leases)
    assert failing.counts(name).get("RUNNING") == 4
    for trial in failing.trials(name):
        assert len(trial["attempts"]) == 1


def test_a_result_is_told_to_optuna_when_the_database_is_back(failing: FailingService) -> None:
    name = failing.create(n_trials=1, target_value=0.9)
    lease = failing.claim_one(name)
    failing.failures.failing["set_trial_state_values"] = 1
    body = {"metrics": {"validation_accuracy": 0.95}}

    response = failing.http.post(f"/v1/leases/{lease['lease_id']}/complete", json=body)

    assert response.status_code in (200, 503)
    assert failing.complete(lease, 0.95) == "COMPLETE"
    assert failing.trial(name, 0)["values"] == [0.95]
    study = failing.study(name)
    assert study["best"]["values"] == [0.95]
    assert study["state"] == "finished"


def test_a_trial_that_could_not_be_put_back_is_put_back_later(failing: FailingService) -> None:
    name = failing.create(n_trials=1)
    lease = failing.claim_one(name)
    failing.clock.advance(LEASE_SECONDS)
    failing.failures.failing["set_trial_state_values"] = 1
    failing.http.get(f"/v1/studies/{name}")

    (again,) = failing.claim(name)

    assert (again["trial_number"], again["attempt"]) == (0, 2)
    assert failing.report(lease, 0) == "lost"
    assert failing.report(again, 0) == "continue"


def test_a_study_whose_making_failed_half_way_can_be_made(failing: FailingService) -> None:
    wanted = definition(enqueue=[{"learning_rate": 0.01}])
    failing.failures.failing["create_new_study"] = 1
    assert failing.http.post("/v1/studies", json=wanted).status_code == 503
    failing.failures.failing["create_new_trial"] = 1
    assert failing.http.post("/v1/studies", json=wanted).status_code == 503

    assert failing.http.post("/v1/studies", json=wanted).status_code in (200, 201)

    assert failing.claim_one(wanted["name"])["params"] == {"learning_rate": 0.01}


def test_a_study_whose_deletion_failed_half_way_can_be_deleted(failing: FailingService) -> None:
    name = failing.create()
    failing.failures.failing["delete_study"] = 1
    assert failing.http.delete(f"/v1/studies/{name}").status_code == 503

    assert failing.study(name)["state"] == "running"
    assert failing.http.delete(f"/v1/studies/{name}").status_code == 204


def test_optuna_sees_what_the_service_wrote(tmp_path: Path) -> None:
    with Service(f"sqlite:///{tmp_path / 'narrows.db'}") as service:
        name = service.create()
        service.run(name)
        storage = open_optuna_storage(service.url)
        (trial,) = storage.get_all_trials(storage.get_study_id_from_name(name), states=(TrialState.COMPLETE,))
        assert trial.value == 0.5
        storage.remove_session()
        storage.engine.dispose()
