"""Optuna's tools name the objectives of a study by their metrics."""

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import create_engine, text

from storage.database.opening import parse_url
from tests.integration.service_driver import Service

OBJECTIVES = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "n_parameters", "direction": "minimize"},
]
NAMES = [objective["metric"] for objective in OBJECTIVES]


def stock_names(service: Service, name: str) -> list[str] | None:
    """The names that Optuna's own storage reads from the database, which may be open."""
    service.store.optuna.commits.barrier()
    storage = RDBStorage(parse_url(service.url).render_as_string(hide_password=False))
    names = optuna.load_study(study_name=name, storage=storage).metric_names
    storage.remove_session()
    storage.engine.dispose()
    return names


def test_a_new_study_has_the_names_of_its_metrics(fresh_service: Service) -> None:
    one, two = fresh_service.create(), fresh_service.create(objectives=OBJECTIVES)
    assert stock_names(fresh_service, one) == ["validation_accuracy"]
    assert stock_names(fresh_service, two) == NAMES
    fresh_service.run(one)
    listed = fresh_service.http.get("/api/studies").json()["study_summaries"]
    found = fresh_service.http.get(f"/api/studies/{listed[0]['study_id']}").json()
    assert found["objective_names"] == ["validation_accuracy"]


def test_a_study_of_an_older_version_has_them_once_it_is_loaded(fresh_service: Service) -> None:
    name = fresh_service.create(objectives=OBJECTIVES)
    fresh_service.close()
    engine = create_engine(parse_url(fresh_service.url))
    with engine.begin() as connection:
        deleted = connection.execute(text("DELETE FROM study_system_attributes"))
    engine.dispose()
    assert deleted.rowcount == 1
    fresh_service._open()
    assert stock_names(fresh_service, name) == NAMES


def test_a_deleted_study_leaves_no_names(fresh_service: Service) -> None:
    name = fresh_service.create()
    fresh_service.http.delete(f"/v1/studies/{name}").raise_for_status()
    assert fresh_service.create(name=name) == name
    assert stock_names(fresh_service, name) == ["validation_accuracy"]


def test_an_export_is_as_it_was(service: Service) -> None:
    name = service.create(objectives=OBJECTIVES)
    head = service.http.get(f"/v1/studies/{name}/export", params={"format": "optuna"}).text.splitlines()[0]
    assert '"metric_names":["validation_accuracy","n_parameters"]' in head
    assert '"user_attrs":{}' in head
