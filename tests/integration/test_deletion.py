"""A deleted study leaves nothing behind."""

import threading
from typing import Any

import pytest
from optuna import Study
from sqlalchemy import create_engine, inspect, text

from tests.integration.final_driver import begin, searched
from tests.integration.service_driver import (
    LEARNING_RATE,
    Service,
    code_of,
    definition,
)


def rows(url: str) -> dict[str, int]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            return {
                table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
                for table in inspect(engine).get_table_names()
            }
    finally:
        engine.dispose()


def test_a_deleted_study_leaves_no_row_behind(fresh_service: Service) -> None:
    before = rows(fresh_service.url)
    name = fresh_service.create(
        n_trials=5,
        enqueue=[{"learning_rate": 0.01}],
        search_space={
            "learning_rate": LEARNING_RATE,
            "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        },
        sampler={"name": "qmc", "seed": 0},
    )
    fresh_service.run(name, 2)
    fresh_service.fail(fresh_service.claim_one(name))
    lease = fresh_service.claim_one(name)
    fresh_service.report(lease, 0, "nan")

    response = fresh_service.http.delete(f"/v1/studies/{name}")

    assert (response.status_code, response.content) == (204, b"")
    left = rows(fresh_service.url)
    assert left.pop("narrows_workers") == 1
    assert left.pop("narrows_ids") == 2, "ids are not given again"
    for table in ("narrows_workers", "narrows_ids"):
        before.pop(table)
    assert left == before
    assert code_of(fresh_service.http.get(f"/v1/studies/{name}"), 404) == "study_not_found"
    assert fresh_service.report(lease, 1) == "lost"
    assert code_of(fresh_service.http.post(f"/v1/leases/{lease['lease_id']}/release"), 404) == "lease_not_found"
    fresh_service.restart()
    assert fresh_service.get("/studies")["studies"] == []


def test_a_deleted_study_can_be_made_again_and_starts_anew(each_service: Service) -> None:
    wanted = definition()
    each_service.http.post("/v1/studies", json=wanted)
    each_service.run(wanted["name"], 2)
    each_service.http.delete(f"/v1/studies/{wanted['name']}")

    assert each_service.http.post("/v1/studies", json=wanted).status_code == 201

    assert each_service.counts(wanted["name"]) == {}
    assert (
        each_service.trial(wanted["name"], each_service.claim_one(wanted["name"])["trial_number"])["attempts"][0][
            "attempt"
        ]
        == 1
    )


def test_deleting_twice_says_that_it_is_gone(service: Service) -> None:
    name = service.create()
    service.http.delete(f"/v1/studies/{name}")

    assert code_of(service.http.delete(f"/v1/studies/{name}"), 404) == "study_not_found"


def test_claims_and_lists_survive_studies_that_are_deleted_under_them(each_service: Service) -> None:
    statuses: list[int] = []

    def delete(names: list[str]) -> None:
        for name in names:
            statuses.append(each_service.http.delete(f"/v1/studies/{name}").status_code)

    def ask() -> None:
        for index in range(6):
            claim = {"claim_id": f"{threading.get_ident()}-{index}-{names[0]}", "worker": {"id": "w"}, "max_trials": 3}
            statuses.append(each_service.http.post("/v1/claims", json=claim).status_code)
            statuses.append(each_service.http.get("/v1/studies").status_code)

    names = [each_service.create() for _ in range(4)]
    deleting = threading.Thread(target=delete, args=(names,))
    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in (*asking, deleting):
        thread.start()
    for thread in (*asking, deleting):
        thread.join()

    assert set(statuses) <= {200, 204}


def test_a_deleted_final_evaluation_can_still_be_compared_with_waiting_claims(service: Service) -> None:
    name = searched(service)
    linked = begin(service, name)["linked_study"]
    live = service.app.state.registry.get(linked)
    assert live.claimed_as == (linked, name)

    assert service.http.delete(f"/v1/studies/{name}").status_code == 204

    assert live.claimed_as == (linked, name), "a claim may compare while the studies are being deleted"


def test_a_lease_whose_study_is_deleted_while_it_is_read_is_not_found(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = {"training": {"entrypoint": "package.train:run"}, "objectives": [{"metric": "x", "direction": "minimize"}]}
    name = service.create(**code, search_space={}, sampler="tpe")
    (lease,) = service.claim(name, allow=["package"])
    get_trials = Study.get_trials

    def deleted_meanwhile(*arguments: Any, **more: Any) -> Any:
        monkeypatch.undo()
        assert service.http.delete(f"/v1/studies/{name}").status_code == 204
        return get_trials(*arguments, **more)

    monkeypatch.setattr(Study, "get_trials", deleted_meanwhile)

    wanted = {"name": "x", "distribution": {"type": "float", "low": 0.0, "high": 1.0}}
    answer = service.http.post(f"/v1/leases/{lease['lease_id']}/suggest", json=wanted)

    assert code_of(answer, 404) == "lease_not_found"


def test_a_claim_that_is_repeated_while_its_study_is_deleted_gets_no_lease(fresh_service: Service) -> None:
    name = fresh_service.create()
    claim = {"claim_id": "again", "worker": {"id": "worker"}, "study": name}
    assert len(fresh_service.http.post("/v1/claims", json=claim).json()["leases"]) == 1
    live = fresh_service.app.state.registry.get(name)
    fresh_service.store.optuna.delete_study(live.record.study_id)  # the moment at which its trials are gone
    live.close()

    answer = fresh_service.http.post("/v1/claims", json=claim)

    assert (answer.status_code, answer.json()) == (200, {"leases": [], "not_allowed": []})
