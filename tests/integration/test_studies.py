"""Studies: created once, listed in pages, paused, resumed, stopped, extended and deleted."""

import json
import threading
from typing import Any

import optuna
import pytest
from sqlalchemy import create_engine, inspect, text

from tests.integration.service_driver import (
    LEARNING_RATE,
    LEASE_SECONDS,
    Json,
    Service,
    code_of,
    definition,
    errors_of,
    problem_of,
)


def test_a_study_is_created_with_what_was_written(service: Service) -> None:
    wanted = definition(n_trials=7)

    response = service.http.post("/v1/studies", json=wanted)

    assert response.status_code == 201
    study = response.json()
    assert study["name"] == wanted["name"]
    assert study["state"] == "running"
    assert study["trial_counts"] == {"WAITING": 0, "RUNNING": 0, "COMPLETE": 0, "PRUNED": 0, "FAIL": 0}
    assert study["best"] is None
    assert study["started_at"] is study["finished_at"] is study["trials_per_hour"] is None
    assert study["created_at"].endswith("Z")
    assert study["definition"]["search_space"] == wanted["search_space"]
    assert study["definition"]["n_trials"] == 7
    assert service.study(wanted["name"]) == study


def test_the_same_definition_again_finds_the_study(service: Service) -> None:
    wanted = definition()
    first = service.http.post("/v1/studies", json=wanted)

    again = service.http.post("/v1/studies", json=wanted)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"dataset": {"name": "digits"}, "model": {"name": "mlp"}}},
        {"pruner": {"name": "none"}},
        {"max_attempts": 3},
        {"search_space": {"learning_rate": {**LEARNING_RATE, "when": None, "step": None}}},
    ],
    ids=["shorthand written out", "pruner written out", "default written out", "null written out"],
)
def test_the_same_definition_in_other_words_is_the_same(service: Service, changes: Json) -> None:
    wanted = definition()
    service.http.post("/v1/studies", json=wanted)

    assert service.http.post("/v1/studies", json={**wanted, **changes}).status_code == 200


def test_a_definition_as_it_is_answered_can_be_sent_again(service: Service) -> None:
    name = service.create(
        enqueue=[{"learning_rate": 0.01}],
        objectives=[
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "validation_loss", "direction": "minimize"},
        ],
    )

    assert service.http.post("/v1/studies", json=service.study(name)["definition"]).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"n_trials": 4},
        {"search_space": {"learning_rate": {**LEARNING_RATE, "high": 0.2}}},
        {"sampler": {"name": "random", "seed": 1}},
        {"enqueue": [{"learning_rate": 0.01}]},
        {"training": {"dataset": "digits", "model": "mlp", "epochs": 3}},
    ],
)
def test_another_definition_of_the_same_name_conflicts_and_changes_nothing(service: Service, changes: Json) -> None:
    wanted = definition()
    service.http.post("/v1/studies", json=wanted)
    before = service.study(wanted["name"])

    response = service.http.post("/v1/studies", json={**wanted, **changes})

    assert code_of(response, 409) == "study_exists"
    assert service.study(wanted["name"]) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [([True, False], [1, 0]), ([0, 0.5], [0.0, 0.5])],
    ids=["true and 1", "0 and 0.0"],
)
def test_choices_of_another_type_are_another_definition(service: Service, one: list[Any], other: list[Any]) -> None:
    key = "nesterov" if one[0] is True else "momentum"
    wanted = definition(search_space={key: {"type": "categorical", "choices": one}})
    assert service.http.post("/v1/studies", json=wanted).status_code == 201

    wanted["search_space"][key]["choices"] = other

    assert service.http.post("/v1/studies", json=wanted).status_code in (409, 422)


def test_many_who_create_the_same_study_at_once_make_one(each_service: Service) -> None:
    wanted = definition(enqueue=[{"learning_rate": 0.01}])
    statuses: list[int] = []

    def create() -> None:
        statuses.append(each_service.http.post("/v1/studies", json=wanted).status_code)

    together(create, 8)

    assert sorted(statuses) == [200] * 7 + [201]
    assert each_service.counts(wanted["name"]) == {"WAITING": 1}


def together(call: Any, n: int) -> None:
    threads = [threading.Thread(target=call) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_study_is_created_from_yaml(service: Service) -> None:
    name = definition()["name"]
    text = f"""
name: {name}
search_space:
  learning_rate: {{type: float, low: 1e-6, high: 1e-2, log: true}}
training: {{dataset: digits, model: mlp}}
n_trials: 3
"""
    response = service.http.post("/v1/studies", content=text, headers={"content-type": "application/yaml"})

    assert response.status_code == 201, response.text
    assert response.json()["definition"]["search_space"]["learning_rate"]["low"] == 1e-6


def test_a_study_of_stock_optuna_keeps_its_name(each_service: Service) -> None:
    name = definition()["name"]
    each_service.store.optuna.create_new_study([optuna.study.StudyDirection.MINIMIZE], name)

    response = each_service.http.post("/v1/studies", json=definition(name=name))

    assert code_of(response, 409) == "study_exists"
    assert each_service.http.get(f"/v1/studies/{name}").status_code == 404
    assert optuna.load_study(study_name=name, storage=each_service.store.optuna).direction.name == "MINIMIZE"


def test_studies_are_listed_in_pages_oldest_first(fresh_service: Service) -> None:
    names = [fresh_service.create() for _ in range(5)]
    found: list[str] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        query = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = fresh_service.get("/studies", **query)
        found += [study["name"] for study in page["studies"]]
        cursor = page["next_cursor"]
        pages += 1

    assert found == names
    assert pages == 3
    assert fresh_service.get("/studies", limit=5)["next_cursor"] is None


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "%00", "AAAA", "W10", "bnVsbA", "WzEsMWU5OTld", "W3t9LFtdXQ", "W05hTiwwXQ", "[0,0]", "W" * 500],
)
def test_a_cursor_that_is_none_of_ours_is_refused_or_empty(service: Service, cursor: str) -> None:
    name = service.create(enqueue=[{}])
    for path in ("/v1/studies", f"/v1/studies/{name}/trials"):
        response = service.http.get(path, params={"cursor": cursor})
        assert response.status_code == 200 or "cursor" in errors_of(response)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"limit": -1}, {"cursor": "x" * 501}])
def test_limits_of_pages_are_checked(service: Service, query: Json) -> None:
    assert set(errors_of(service.http.get("/v1/studies", params=query))) == set(query)


# Pause, resume, stop, extend


def test_a_paused_study_gives_no_trials_and_lets_running_ones_end(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)

    assert service.change(name, state="paused")["state"] == "paused"

    assert service.claim(name) == []
    assert service.report(lease, 0) == "continue"
    assert service.complete(lease) == "COMPLETE"
    assert service.change(name, state="running")["state"] == "running"
    assert len(service.claim(name)) == 1


def test_a_study_paused_at_its_end_finishes_when_it_is_resumed(service: Service) -> None:
    name = service.create(n_trials=1)
    lease = service.claim_one(name)
    service.change(name, state="paused")
    service.complete(lease)
    assert service.study(name)["state"] == "paused"

    assert service.change(name, state="running")["state"] == "finished"


def test_a_stopped_study_tells_running_trials_to_stop(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)

    stopped = service.change(name, state="stopped")

    assert stopped["state"] == "stopped"
    assert stopped["finished_reason"] == "stopped by a user"
    assert stopped["finished_at"] is not None
    assert service.claim(name) == []
    assert service.report(lease, 0) == "stop"
    assert service.report(lease, 0) == "stop"
    assert service.report(lease, 1) == "stop"
    trial = service.trial(name, 0)
    assert trial["state"] == "FAIL"
    assert trial["reason"] == "stopped: the study was stopped"
    assert trial["attempts"][0]["outcome"] == "stop"


def test_a_stopped_study_can_go_on(service: Service) -> None:
    name = service.create()
    service.run(name)
    service.change(name, state="stopped")

    resumed = service.change(name, state="running")

    assert (resumed["state"], resumed["finished_at"], resumed["finished_reason"]) == ("running", None, None)
    service.run(name, 2)
    assert service.study(name)["state"] == "finished"


def test_a_trial_that_is_given_back_ends_with_its_stopped_study(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.change(name, state="stopped")

    assert each_service.release(lease) == "FAIL"
    assert each_service.release(lease) == "FAIL"

    trial = each_service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("FAIL", "stopped: the study was stopped")
    assert [attempt["outcome"] for attempt in trial["attempts"]] == ["release"]
    assert each_service.counts(name) == {"FAIL": 1}


@pytest.mark.parametrize("how", ["release", "expire", "fail"])
def test_a_trial_that_waits_to_be_tried_again_ends_when_its_study_is_stopped(fresh_service: Service, how: str) -> None:
    name = fresh_service.create(enqueue=[{}, {}])
    lease = fresh_service.claim_one(name)
    match how:
        case "release":
            fresh_service.release(lease)
        case "expire":
            fresh_service.clock.advance(LEASE_SECONDS)
            fresh_service.study(name)  # by any call the service learns of it
        case "fail":
            fresh_service.fail(lease, retry=True)
    assert fresh_service.trial(name, 0)["state"] == "WAITING"

    fresh_service.change(name, state="stopped")
    fresh_service.restart()

    trial = fresh_service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("FAIL", "stopped: the study was stopped")
    assert fresh_service.trial(name, 1)["state"] == "WAITING", "it has not begun: it runs when the study goes on"
    fresh_service.change(name, state="running")
    assert [lease["trial_number"] for lease in fresh_service.claim(name, max_trials=3)] == [1, 2]


@pytest.mark.parametrize("end", ["timeout", "target"])
def test_no_trial_waits_to_be_tried_again_in_a_study_that_has_ended_early(service: Service, end: str) -> None:
    limit = {"timeout_seconds": 50} if end == "timeout" else {"target_value": 0.9}
    name = service.create(**limit)
    released, other = service.claim(name, max_trials=2)
    service.release(released)
    if end == "timeout":
        service.clock.advance(50)
    service.complete(other, 0.95)

    study = service.study(name)

    assert study["state"] == "finished"
    trial = service.trial(name, 0)
    assert (trial["state"], trial["reason"]) == ("FAIL", f"stopped: {study['finished_reason']}")


def test_a_trial_of_a_stopped_study_may_still_be_completed(service: Service) -> None:
    name = service.create()
    lease = service.claim_one(name)
    service.change(name, state="stopped")

    assert service.complete(lease) == "COMPLETE"
    assert service.study(name)["best"]["number"] == 0


def test_a_finished_study_goes_on_when_it_is_extended(service: Service) -> None:
    name = service.create(n_trials=1)
    service.run(name)
    assert service.study(name)["state"] == "finished"

    extended = service.change(name, n_trials=3)

    assert extended["state"] == "running"
    assert extended["finished_at"] is None
    assert extended["definition"]["n_trials"] == 3
    service.run(name, 2)
    study = service.study(name)
    assert (study["state"], study["finished_reason"]) == ("finished", "all 3 trials are finished")
    assert service.claim(name) == []


def test_a_running_study_can_be_extended(service: Service) -> None:
    name = service.create(n_trials=1)
    lease = service.claim_one(name)
    assert service.claim(name) == []

    service.change(name, n_trials=2)

    assert len(service.claim(name, max_trials=5)) == 1
    service.complete(lease)
    assert service.study(name)["state"] == "running"


def test_an_extended_study_is_found_by_its_first_and_by_its_new_definition(service: Service) -> None:
    wanted = definition(n_trials=1)
    service.http.post("/v1/studies", json=wanted)
    service.change(wanted["name"], n_trials=5)

    for n_trials, status in ((1, 200), (5, 200), (3, 409)):
        assert service.http.post("/v1/studies", json={**wanted, "n_trials": n_trials}).status_code == status


@pytest.mark.parametrize("state", ["paused", "running", "stopped"])
def test_a_finished_study_does_not_change_its_state(service: Service, state: str) -> None:
    name = service.create(n_trials=1)
    service.run(name)
    before = service.study(name)

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"state": state}), 409) == "state_conflict"
    assert service.study(name) == before


def test_a_stopped_study_cannot_be_paused(service: Service) -> None:
    name = service.create()
    service.change(name, state="stopped")

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"state": "paused"}), 409) == "state_conflict"


@pytest.mark.parametrize("state", ["paused", "running", "stopped"])
def test_a_change_into_the_state_it_is_in_changes_nothing(service: Service, state: str) -> None:
    name = service.create()
    before = service.change(name, state=state)
    service.clock.advance(10)

    assert service.change(name, state=state) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"state": None}, "body"),
        ({"state": "finished"}, "state"),
        ({"state": "Running"}, "state"),
        ({"n_trials": 3}, "n_trials"),
        ({"n_trials": 2}, "n_trials"),
        ({"n_trials": 0}, "n_trials"),
        ({"n_trials": 10**12}, "n_trials"),
        ({"n_trials": "9"}, "n_trials"),
        ({"n_trials": 9.0}, "n_trials"),
        ({"n_trials": True}, "n_trials"),
        ({"state": "paused", "n_trials": 2}, "n_trials"),
        ({"name": "other"}, "name"),
        ([], "body"),
    ],
)
def test_a_bad_change_is_refused_whole(service: Service, body: Any, field: str) -> None:
    name = service.create()
    before = service.study(name)

    assert field in errors_of(service.http.patch(f"/v1/studies/{name}", json=body))
    assert service.study(name) == before


def test_a_change_of_state_and_trials_at_once(service: Service) -> None:
    name = service.create(n_trials=1)
    service.run(name)

    changed = service.change(name, state="paused", n_trials=2)

    assert (changed["state"], changed["definition"]["n_trials"]) == ("paused", 2)
    assert service.claim(name) == []


# Time and target


def test_a_study_ends_when_its_time_is_up(each_service: Service) -> None:
    name = each_service.create(timeout_seconds=100, n_trials=10)
    each_service.clock.advance(1000)  # before the first trial no time passes
    first, second = each_service.claim(name, max_trials=2)
    each_service.clock.advance(50)
    assert each_service.report(first, 0) == "continue"
    assert each_service.report(second, 0) == "continue"
    each_service.clock.advance(50)

    assert each_service.claim(name) == [], "no trial starts after the end"
    assert each_service.report(first, 1) == "stop"
    assert each_service.study(name)["state"] == "running", "a trial is still running"
    assert each_service.complete(second) == "COMPLETE"

    study = each_service.study(name)
    assert (study["state"], study["finished_reason"]) == ("finished", "timeout_seconds 100 passed")
    assert each_service.counts(name) == {"COMPLETE": 1, "FAIL": 1}
    assert each_service.trial(name, 0)["reason"] == "stopped: timeout_seconds 100 passed"


def test_a_study_out_of_time_cannot_be_extended(service: Service) -> None:
    name = service.create(timeout_seconds=100, n_trials=10)
    service.run(name)
    service.clock.advance(200)
    assert service.study(name)["state"] == "finished"

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"n_trials": 20}), 409) == "state_conflict"


@pytest.mark.parametrize(("direction", "values"), [("maximize", [0.5, 0.89, 0.9]), ("minimize", [1.0, 0.91, 0.9])])
def test_a_study_ends_when_its_target_is_reached(service: Service, direction: str, values: list[float]) -> None:
    name = service.create(
        target_value=0.9, n_trials=10, objectives=[{"metric": "validation_accuracy", "direction": direction}]
    )
    running = service.claim_one(name)
    for value in values:
        service.run(name, 1, value)

    assert service.claim(name) == []
    assert service.report(running, 0) == "stop"
    study = service.study(name)
    assert study["state"] == "finished"
    assert study["finished_reason"] == "trial 3 reached target_value 0.9"
    assert study["best"]["values"] == [0.9]


def test_a_study_that_reached_its_target_takes_no_more_trials(service: Service) -> None:
    name = service.create(target_value=0.9, n_trials=10)
    service.run(name, 1, 0.95)

    assert code_of(service.http.patch(f"/v1/studies/{name}", json={"n_trials": 20}), 409) == "state_conflict"
    enqueued = service.http.post(f"/v1/studies/{name}/trials", json={"params": {"learning_rate": 0.01}})
    assert code_of(enqueued, 409) == "state_conflict"


def test_an_infinite_value_reaches_the_target_and_nan_does_not(each_service: Service) -> None:
    name = each_service.create(target_value=0.9, n_trials=10)
    lease = each_service.claim_one(name)
    assert each_service.complete(lease, "nan") == "FAIL"
    assert each_service.study(name)["state"] == "running"

    each_service.complete(each_service.claim_one(name), "inf")

    study = each_service.study(name)
    assert study["state"] == "finished"
    assert study["best"]["values"] == ["inf"]


# What comes out


def test_best_and_its_place_in_the_study(service: Service) -> None:
    name = service.create(n_trials=4)
    for value in (0.7, 0.9, 0.8, 0.9):
        service.run(name, 1, value)

    best = service.get(f"/studies/{name}/best", k=3)["trials"]

    assert [trial["number"] for trial in best] == [1, 3, 2]
    assert service.study(name)["best"] == best[0]
    assert best[0]["values"] == [0.9]
    assert best[0]["metrics"] == {"validation_accuracy": 0.9}


def test_trials_per_hour_counts_from_the_first_trial(service: Service) -> None:
    name = service.create(n_trials=10)
    service.clock.advance(5000)
    lease = service.claim_one(name)
    service.clock.advance(30)
    service.complete(lease)
    service.clock.advance(6)

    assert service.study(name)["trials_per_hour"] == pytest.approx(100.0)


def test_several_objectives_have_a_front_and_no_best(each_service: Service) -> None:
    name = each_service.create(
        n_trials=4,
        objectives=[
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "n_parameters", "direction": "minimize"},
        ],
        pruner="none",
    )
    for accuracy, size in ((0.9, 100), (0.8, 50), (0.85, 200), (0.95, 400)):
        lease = each_service.claim_one(name)
        assert each_service.report(lease, 0, accuracy) == "continue"
        assert each_service.complete(lease, accuracy, metrics={"n_parameters": size}) == "COMPLETE"

    front = each_service.get(f"/studies/{name}/pareto")["trials"]

    assert [trial["values"] for trial in front] == [[0.95, 400.0], [0.9, 100.0], [0.8, 50.0]]
    assert each_service.study(name)["best"] is None
    assert code_of(each_service.http.get(f"/v1/studies/{name}/best"), 409) == "state_conflict"


def test_the_front_of_one_objective_is_its_best_trial(service: Service) -> None:
    name = service.create(n_trials=2)
    service.run(name, 1, 0.5)
    service.run(name, 1, 0.6)

    assert [trial["number"] for trial in service.get(f"/studies/{name}/pareto")["trials"]] == [1]


@pytest.mark.parametrize("path", ["best", "pareto", "importance"])
def test_nothing_comes_out_of_a_study_without_results(service: Service, path: str) -> None:
    answer = service.get(f"/studies/{service.create()}/{path}")

    assert answer in ({"trials": []}, {"metric": "validation_accuracy", "importances": {}})


def test_importance_finds_the_parameter_that_matters(service: Service) -> None:
    name = service.create(
        n_trials=12,
        search_space={
            "learning_rate": {"type": "float", "low": 0.01, "high": 1.0},
            "momentum": {"type": "float", "low": 0.0, "high": 0.9},
        },
    )
    for _ in range(12):
        lease = service.claim_one(name)
        service.complete(lease, lease["params"]["learning_rate"])

    answer = service.get(f"/studies/{name}/importance")

    assert list(answer["importances"]) == ["learning_rate", "momentum"]
    assert sum(answer["importances"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize("values", [[0.5, "inf"], ["inf", "-inf"], [0.5, 0.5], [0.5, 0.6, "inf"]])
def test_importance_of_values_that_say_little_is_no_error(service: Service, values: list[Any]) -> None:
    name = service.create(n_trials=len(values))
    for value in values:
        service.complete(service.claim_one(name), value)

    assert service.http.get(f"/v1/studies/{name}/importance").status_code == 200


def test_importance_with_conditional_parameters_is_no_error(service: Service) -> None:
    name = service.create(
        n_trials=6,
        search_space={
            "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
            "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
        },
    )
    for index in range(6):
        service.complete(service.claim_one(name), index / 10)

    assert set(service.get(f"/studies/{name}/importance")["importances"]) <= {"optimizer", "momentum"}


def test_trials_are_exported_as_csv_and_json(each_service: Service) -> None:
    name = each_service.create(
        n_trials=3,
        search_space={
            "gradient_clip": {"type": "categorical", "choices": [None, 1.0]},
            "nesterov": {"type": "categorical", "choices": [True, False]},
        },
        sampler={"name": "random", "seed": 1},
    )
    each_service.run(name)
    each_service.fail(each_service.claim_one(name), 'a "reason", with\nits own lines')
    each_service.claim_one(name)

    as_csv = each_service.http.get(f"/v1/studies/{name}/export", params={"format": "csv"})
    as_json = each_service.http.get(f"/v1/studies/{name}/export", params={"format": "json"})

    assert as_csv.headers["content-type"].startswith("text/csv")
    assert as_json.headers["content-type"] == "application/json"
    assert f'filename="{name}.csv"' in as_csv.headers["content-disposition"]
    assert as_json.json() == each_service.trials(name)
    header, *_ = as_csv.text.splitlines()
    assert header.split(",")[:2] == ["number", "state"]
    assert "value_validation_accuracy,params_gradient_clip,params_nesterov,metrics_validation_accuracy" in header
    assert 'a ""reason"", with' in as_csv.text


def test_an_export_of_nothing_is_still_a_file(service: Service) -> None:
    name = service.create()

    assert service.http.get(f"/v1/studies/{name}/export", params={"format": "json"}).json() == []
    assert len(service.http.get(f"/v1/studies/{name}/export").text.splitlines()) == 1


def test_an_unknown_format_is_refused(service: Service) -> None:
    assert "format" in errors_of(service.http.get(f"/v1/studies/{service.create()}/export", params={"format": "xml"}))


# Delete


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


# Stock tools


def test_stock_optuna_reads_the_same_trials(fresh_service: Service) -> None:
    name = fresh_service.create(n_trials=4)
    for value in (0.5, 0.7):
        fresh_service.run(name, 1, value)
    fresh_service.fail(fresh_service.claim_one(name))
    fresh_service.report(fresh_service.claim_one(name), 0, 0.25)

    url = fresh_service.url.replace("postgresql://", "postgresql+psycopg://")
    study = optuna.load_study(study_name=name, storage=url)

    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "RUNNING"]
    assert [trial.params for trial in study.trials] == [trial["params"] for trial in fresh_service.trials(name)]
    assert study.best_value == 0.7
    assert study.trials[3].intermediate_values == {0: 0.25}
    study._storage.remove_session()
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["no-such-study", "x" * 128])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/trials"),
        ("POST", "/trials"),
        ("GET", "/trials/0"),
        ("GET", "/trials/0/curves"),
        ("GET", "/best"),
        ("GET", "/pareto"),
        ("GET", "/importance"),
        ("GET", "/export"),
    ],
)
def test_a_study_that_is_not_there_is_not_found(service: Service, method: str, path: str, name: str) -> None:
    body = {"PATCH": {"state": "paused"}, "POST": {"params": {}}}.get(method)

    response = service.http.request(method, f"/v1/studies/{name}{path}", json=body)

    problem = problem_of(response, 404)
    assert problem["code"] == "study_not_found"
    assert name in problem["detail"]


def test_answers_are_json_to_the_letter(each_service: Service) -> None:
    name = each_service.create()
    lease = each_service.claim_one(name)
    each_service.report(lease, 0, "nan", train_loss="-inf")

    text = each_service.http.get(f"/v1/studies/{name}/trials").text

    assert json.loads(text, parse_constant=pytest.fail)["trials"][0]["metrics"] == {
        "validation_accuracy": "nan",
        "train_loss": "-inf",
    }
