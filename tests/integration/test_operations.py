"""The service itself: health, metrics, what the dashboard shows."""

import json
from typing import Any

import optuna
from optuna.trial import TrialState
from prometheus_client.parser import text_string_to_metric_families

from storage.database.opening import parse_url
from tests.integration.service_driver import Service, definition

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


def test_optuna_sees_what_the_service_wrote(sqlite_url: str) -> None:
    with Service(sqlite_url) as service:
        name = service.create()
        service.run(name)
        storage = optuna.storages.RDBStorage(parse_url(service.url).render_as_string(hide_password=False))
        (trial,) = storage.get_all_trials(storage.get_study_id_from_name(name), states=(TrialState.COMPLETE,))
        assert trial.value == 0.5
        storage.remove_session()
        storage.engine.dispose()
