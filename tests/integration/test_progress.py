"""How a study has come on: best values by trials, epochs and time, and counts over time."""

from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, errors_of
from tests.integration.views_driver import every_kind


def progress(service: Service, study: str, **query: Any) -> Json:
    return service.get(f"/studies/{study}/progress", **query)


def test_a_study_without_trials_has_no_progress(service: Service) -> None:
    found = progress(service, service.create())
    assert (found["n_trials"], found["n_finished"], found["n_epochs"], found["seconds"]) == (0, 0, 0, 0)
    nothing: Json = {"x": [], "y": []}
    (objective,) = found["objectives"]
    assert (objective["by_trial"], objective["by_epochs"], objective["by_seconds"]) == (nothing, nothing, nothing)
    assert found["counts"] == {"seconds": [0], "RUNNING": [0], "COMPLETE": [0], "PRUNED": [0], "FAIL": [0]}


def test_the_best_value_so_far_is_there_where_it_became_better(sqlite_service: Service) -> None:
    name = every_kind(sqlite_service)
    sqlite_service.clock.advance(40)
    found = progress(sqlite_service, name, points=101)
    assert (found["n_trials"], found["n_finished"], found["n_epochs"], found["seconds"]) == (6, 4, 8, 100)
    (objective,) = found["objectives"]
    assert (objective["metric"], objective["direction"]) == ("validation_accuracy", "maximize")
    assert objective["by_trial"] == {"x": [0, 1], "y": [0.5, 0.7]}
    assert objective["by_epochs"] == {"x": [2, 4], "y": [0.5, 0.7]}
    assert objective["by_seconds"] == {"x": [20, 40], "y": [0.5, 0.7]}
    counts = found["counts"]
    assert counts["seconds"] == list(range(101))
    at = {
        second: {state: counts[state][second] for state in counts if state != "seconds"} for second in (0, 19, 20, 60)
    }
    assert at[0] == {"RUNNING": 1, "COMPLETE": 0, "PRUNED": 0, "FAIL": 0}
    assert at[19]["COMPLETE"] == 0
    assert at[20] == {"RUNNING": 1, "COMPLETE": 1, "PRUNED": 0, "FAIL": 0}
    assert at[60] == {"RUNNING": 1, "COMPLETE": 3, "PRUNED": 0, "FAIL": 1}
    assert {state: counts[state][100] for state in at[0]} == at[60]


def test_trials_that_end_out_of_their_order_count_when_they_end(sqlite_service: Service) -> None:
    name = sqlite_service.create(objectives=[{"metric": "validation_accuracy", "direction": "minimize"}])
    first, second = sqlite_service.claim(name, max_trials=2)
    sqlite_service.clock.advance(10)
    sqlite_service.report(second, 0, 0.5)
    sqlite_service.complete(second, 0.5)
    sqlite_service.clock.advance(10)
    sqlite_service.report(first, 0, 0.6)
    sqlite_service.report(first, 1, 0.6)
    sqlite_service.complete(first, 0.6)
    (objective,) = progress(sqlite_service, name)["objectives"]
    assert objective["by_trial"] == {"x": [0, 1], "y": [0.6, 0.5]}
    assert objective["by_epochs"] == {"x": [1], "y": [0.5]}
    assert objective["by_seconds"] == {"x": [10], "y": [0.5]}


def test_trials_beyond_a_constraint_do_not_count(service: Service) -> None:
    name = service.create(constraints=[{"metric": "n_parameters", "max": 10}])
    for value, size in ((0.9, 11), (0.5, 10), (0.4, 1)):
        lease = service.claim_one(name)
        service.report(lease, 0, value, n_parameters=size)
        service.complete(lease, value)
    (objective,) = progress(service, name)["objectives"]
    assert objective["by_trial"] == {"x": [1], "y": [0.5]}


def test_lists_are_bounded(service: Service) -> None:
    name = service.create(n_trials=30)
    for index in range(30):
        service.run(name, value=index / 100)
    found = progress(service, name, points=5)
    (objective,) = found["objectives"]
    assert objective["by_trial"]["x"] == [0, 7, 14, 22, 29]
    assert {len(counts) for counts in found["counts"].values()} <= {1, 5}


@pytest.mark.parametrize("points", [1, 2001, "x"])
def test_a_wrong_number_of_points_is_refused(service: Service, points: Any) -> None:
    response = service.http.get(f"/v1/studies/{service.create()}/progress", params={"points": points})
    assert "points" in errors_of(response)
