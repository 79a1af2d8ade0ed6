"""Studies whose definition names no pruner."""

import json

from sqlalchemy import text

from service.schemas.study.default_pruner import KILLING
from tests.integration.service_driver import Json, Service, definition


def without_pruner(**changes: object) -> Json:
    written = definition(n_trials=4, training={"dataset": "digits", "model": "mlp", "epochs": 8}, **changes)
    del written["pruner"]
    return written


def test_trials_pause_and_the_best_are_trained_to_their_ends(service: Service) -> None:
    written = without_pruner()
    name = written["name"]
    assert service.http.post("/v1/studies", json=written).status_code == 201
    for place, lease in enumerate(service.claim(name, max_trials=4)):
        assert service.report(lease, 0, 0.9 - 0.1 * place) == "pause"
        service.upload(lease, "checkpoint", b"state", 0)
        assert service.pause(lease) == "WAITING"
    assert [lease["trial_number"] for lease in service.claim(name, max_trials=4)] == [0, 1]  # two of three
    assert [lease["trial_number"] for lease in service.claim(name, max_trials=4)] == [2]  # the third finalist
    assert service.counts(name) == {"RUNNING": 3, "WAITING": 1}


def test_a_study_keeps_the_default_that_it_was_created_with(fresh_service: Service) -> None:
    service, written = fresh_service, without_pruner()
    assert service.http.post("/v1/studies", json=written).status_code == 201
    service.close()
    with service.store.optuna.engine.begin() as connection:  # as versions left it that had one default
        ((stored,),) = connection.execute(text("SELECT definition FROM narrows_studies")).all()
        stored = stored if isinstance(stored, dict) else json.loads(stored)
        del stored["pruner"]
        connection.execute(text("UPDATE narrows_studies SET definition = :it"), {"it": json.dumps(stored)})
    service._open()

    assert service.study(written["name"])["definition"]["pruner"].items() >= KILLING.items()
    assert service.http.post("/v1/studies", json=written).status_code == 200
    answer = service.http.post("/v1/studies", json={**written, "pruner": "median"})
    assert answer.status_code == 409
