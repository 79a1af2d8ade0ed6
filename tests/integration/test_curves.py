"""The learning curves of a trial, whole and page by page."""

import math
from collections.abc import Callable

import pytest

from service.leases.epoch_reports import MAX_METRICS_OF_ATTEMPT
from service.results import curves
from service.results.paging import encode_cursor
from tests.integration.service_driver import Json, Service, errors_of

MAX_PAGE_BYTES = 8 * curves.MAX_CELLS
"""A null takes 5 bytes with its comma."""


def send(service: Service, lease: Json, metrics_of_steps: dict[int, Json]) -> None:
    reports = [
        {"lease_id": lease["lease_id"], "step": step, "metrics": metrics} for step, metrics in metrics_of_steps.items()
    ]
    assert service.http.post("/v1/reports", json={"reports": reports}).status_code == 200


def pages(service: Service, name: str, **query: int) -> list[Json]:
    found = [service.get(f"/studies/{name}/trials/0/curves", **query)]
    while "next_cursor" in found[-1]:
        found.append(service.get(f"/studies/{name}/trials/0/curves", cursor=found[-1]["next_cursor"], **query))
    return found


def test_a_trial_without_reports_has_one_empty_page(service: Service) -> None:
    name = service.create()
    service.claim_one(name)

    assert pages(service, name) == [{"steps": [], "metrics": {}}]


def test_pages_have_all_steps_and_only_metrics_that_were_reported_there(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    send(each_service, lease, {step: {"early" if step < 3 else "late": step} for step in range(5)})

    first, second, third = pages(each_service, name, limit=2)

    assert (first["steps"], second["steps"], third["steps"]) == ([0, 1], [2, 3], [4])
    assert first["metrics"] == {"early": [0.0, 1.0]}
    assert second["metrics"] == {"early": [2.0, None], "late": [None, 3.0]}
    assert third["metrics"] == {"late": [4.0]}
    whole = each_service.client().curves(name, 0)
    assert whole.steps == list(range(5))
    assert whole.metrics == {"early": [0.0, 1.0, 2.0, None, None], "late": [None, None, None, 3.0, 4.0]}


def test_an_answer_is_bounded_however_many_metrics_and_steps_there_are(service: Service) -> None:
    """Each step has one of the metrics: as one matrix, nearly all of it would be null."""
    n_steps = 2 * curves.MAX_CELLS // MAX_METRICS_OF_ATTEMPT
    name = service.create()
    lease = service.claim_one(name)
    for first in range(0, n_steps, 400):
        steps = range(first, min(first + 400, n_steps))
        send(service, lease, {step: {f"metric_{step % MAX_METRICS_OF_ATTEMPT}": step} for step in steps})

    found = pages(service, name)

    assert [step for page in found for step in page["steps"]] == list(range(n_steps))
    for page in found:
        assert len(page["steps"]) * len(page["metrics"]) <= curves.MAX_CELLS
    assert len(service.http.get(f"/v1/studies/{name}/trials/0/curves").content) < MAX_PAGE_BYTES
    whole = service.client().curves(name, 0)
    assert whole.steps == list(range(n_steps))
    assert [value for value in whole.metrics["metric_7"] if value is not None] == list(
        range(7, n_steps, MAX_METRICS_OF_ATTEMPT)
    )
    assert {len(values) for values in whole.metrics.values()} == {n_steps}


def test_a_trial_of_another_program_has_its_intermediate_values_in_pages(service: Service) -> None:
    name = service.create(n_trials=1)
    study_id = service.app.state.registry.get(name).record.study_id
    trial_id = service.store.optuna.create_new_trial(study_id)
    for step in (5, 1, 3):
        service.store.optuna.set_trial_intermediate_value(trial_id, step, math.inf if step == 3 else step)

    first, second = pages(service, name, limit=2)

    assert (first["steps"], first["metrics"]) == ([1, 3], {"validation_accuracy": [1.0, "inf"]})
    assert (second["steps"], second["metrics"]) == ([5], {"validation_accuracy": [5.0]})


@pytest.mark.parametrize("key", [10**30, -(10**30)])
def test_a_cursor_beyond_all_steps_is_no_error(each_service: Service, key: int) -> None:
    name = each_service.create()
    send(each_service, each_service.claim_one(name), {0: {"x": 1}})
    cursor = encode_cursor((0.0, key))

    assert each_service.get(f"/studies/{name}/trials/0/curves", cursor=cursor)["steps"] == [0] * (key < 0)


@pytest.mark.parametrize(("query", "field"), [({"limit": 0}, "limit"), ({"cursor": "nonsense"}, "cursor")])
def test_a_bad_page_is_refused(service: Service, query: Json, field: str) -> None:
    name = service.create()
    service.claim_one(name)

    assert list(errors_of(service.http.get(f"/v1/studies/{name}/trials/0/curves", params=query))) == [field]


def unlimited(service: Service, name: str) -> int:
    return len(pages(service, name))


def limited(service: Service, name: str) -> int:
    return len(pages(service, name, limit=3))


@pytest.mark.parametrize("n_pages", [unlimited, limited])
def test_the_last_page_says_that_it_is_the_last(service: Service, n_pages: Callable[[Service, str], int]) -> None:
    name = service.create()
    send(service, service.claim_one(name), {step: {"x": step} for step in range(3)})

    assert n_pages(service, name) == 1
