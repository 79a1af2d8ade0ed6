"""The curves of many trials in one answer."""

from typing import Any

import optuna
import pytest

from tests.integration.service_driver import Json, Service, errors_of
from tests.integration.views_driver import every_kind


@pytest.fixture(scope="module")
def study(service: Service) -> str:
    return every_kind(service)


def curves(service: Service, study: str, **query: Any) -> Json:
    return service.get(f"/studies/{study}/curves", **query)


def numbers(service: Service, study: str, trials: str) -> list[int]:
    return [trial["number"] for trial in curves(service, study, trials=trials)["trials"]]


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ("best:2", [1, 2]),
        ("best:100", [1, 2, 0, 4, 3]),
        ("best:4", [1, 2, 0, 4]),
        ("last:2", [4, 5]),
        ("last:1000", [0, 1, 2, 3, 4, 5]),
        ("running", [4]),
        ("3,0,3", [3, 0]),
    ],
)
def test_trials_are_chosen_by_rank_number_or_state(
    service: Service, study: str, trials: str, expected: list[int]
) -> None:
    assert numbers(service, study, trials) == expected


def test_curves_are_those_of_each_trial(service: Service, study: str) -> None:
    names = ["train_accuracy", "validation_accuracy", "other"]
    found = curves(service, study, trials="last:100", metric=names)
    assert (found["metrics"], found["truncated"]) == (names, False)
    assert set(found["available"]) == {"validation_accuracy", "train_accuracy"}
    for trial in found["trials"]:
        alone = service.get(f"/studies/{study}/trials/{trial['number']}/curves")
        whole = service.trial(study, trial["number"])
        assert trial["steps"] == alone["steps"]
        assert trial["curves"] == [alone["metrics"].get(name, []) for name in names]
        assert trial["state"] == whole["state"]
        assert trial["value"] == (whole["values"] or [None])[0]


def test_the_first_objective_is_read_from_memory_and_is_the_same(service: Service, study: str) -> None:
    own = curves(service, study)
    both = curves(service, study, metric=["validation_accuracy", "train_accuracy"])
    assert own["metrics"] == ["validation_accuracy"]
    assert [trial["curves"][:1] for trial in both["trials"]] == [trial["curves"] for trial in own["trials"]]


def test_long_curves_are_thinned_from_end_to_end(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    for step in range(25):
        service.report(lease, step, step / 100, other=float(step))
    for metric in (["validation_accuracy"], ["validation_accuracy", "other"]):
        (trial,) = curves(service, name, metric=metric, points=4, trials="running")["trials"]
        assert trial["steps"] == [0, 8, 16, 24]
        assert trial["curves"][0] == [0.0, 0.08, 0.16, 0.24]


def test_a_study_with_several_objectives_has_curves_of_each(service: Service) -> None:
    objectives = [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "n_parameters", "direction": "minimize"},
    ]
    name = service.create(objectives=objectives)
    lease = service.claim_one(name)
    service.report(lease, 0, 0.5, n_parameters=7.0)
    assert curves(service, name)["trials"][0]["curves"] == [[0.5]]
    assert curves(service, name, metric="n_parameters")["trials"][0]["curves"] == [[7.0]]


def test_trials_of_another_program_have_their_intermediate_values(sqlite_service: Service) -> None:
    name = sqlite_service.create()
    sqlite_service.store.optuna.create_new_trial(
        sqlite_service.store.optuna.get_study_id_from_name(name),
        optuna.trial.create_trial(value=0.5, intermediate_values={2: 0.4, 0: 0.1}),
    )
    for metric in (["validation_accuracy"], ["train_loss", "validation_accuracy"]):
        (trial,) = curves(sqlite_service, name, metric=metric)["trials"]
        assert (trial["steps"], trial["curves"][-1]) == ([0, 2], [0.1, 0.4])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"trials": "best"}, "trials"),
        ({"trials": "best:0"}, "trials"),
        ({"trials": "last:1001"}, "trials"),
        ({"trials": ",".join(map(str, range(1001)))}, "trials"),
        ({"trials": "6"}, "trials"),
        ({"trials": "99999999999"}, "trials"),
        ({"trials": "1;2"}, "trials"),
        ({"trials": ""}, "trials"),
        ({"points": 1}, "points"),
        ({"points": 2001}, "points"),
        ({"metric": ["a"] * 9}, "metric"),
        ({"metric": [""]}, "metric.0"),
        ({"metric": ["x" * 200]}, "metric.0"),
    ],
)
def test_a_wrong_query_is_refused(service: Service, study: str, query: Json, field: str) -> None:
    assert field in errors_of(service.http.get(f"/v1/studies/{study}/curves", params=query))


def test_a_study_without_trials_has_no_curves(service: Service) -> None:
    found = curves(service, service.create())
    assert found == {"metrics": ["validation_accuracy"], "available": [], "truncated": False, "trials": []}
