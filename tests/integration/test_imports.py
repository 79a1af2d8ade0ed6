"""Trials from elsewhere: what a sampler learns of them, and what they count for nowhere."""

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import create_trial

from tests.integration.imports_driver import SPACE, TPE, asked, one, stock_trials, value_of
from tests.integration.service_driver import Json, Service, code_of, definition, errors_of


def run(service: Service, study: str, n_trials: int) -> list[Json]:
    leases = [service.claim_one(study) for _ in range(n_trials)]
    for lease in leases:
        service.report(lease, 0, value_of(lease["params"]))
        service.complete(lease, value_of(lease["params"]))
    return leases


def a_source(service: Service, n_complete: int = 12) -> str:
    """A study with complete trials, two pruned ones, and one that failed."""
    name = service.create(search_space=SPACE, n_trials=n_complete + 3, pruner={"name": "threshold", "lower": 0.2})
    run(service, name, n_complete)
    for step in (0, 1):
        lease = service.claim_one(name)
        if step:
            assert service.report(lease, 0, 0.3) == "continue"
        assert service.report(lease, step, 0.1) == "prune"
    service.fail(service.claim_one(name))
    return name


def stock_study(sampler: BaseSampler, trials: Sequence[Json]) -> optuna.Study:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(stock_trials(trials))
    return study


@pytest.mark.parametrize(
    ("sampler", "stock"),
    [
        (TPE, lambda: TPESampler(seed=7, multivariate=True, group=True)),
        ({**TPE, "multivariate": False}, lambda: TPESampler(seed=7, multivariate=False)),
        ({"name": "gp", "seed": 7}, lambda: GPSampler(seed=7)),
    ],
    ids=["tpe", "one by one", "gp"],
)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_sampler_suggests_what_stock_optuna_suggests_after_the_same_trials(
    service: Service, sampler: Json, stock: Any
) -> None:
    source = a_source(service)
    study = stock_study(stock(), service.trials(source))
    name = service.create(search_space=SPACE, sampler=sampler, n_trials=4, warm_start_from=[source])
    assert run(service, name, 1)[0]["params"] == asked(study).params  # what follows may be sampled ahead

    cold = service.create(search_space=SPACE, sampler=sampler, n_trials=1)
    assert run(service, cold, 1)[0]["params"] != service.trial(name, 0)["params"]


def test_they_stay_when_the_service_restarts_and_their_study_is_deleted(fresh_service: Service) -> None:
    source = a_source(fresh_service)
    study = stock_study(TPESampler(seed=7, n_startup_trials=10), fresh_service.trials(source))
    name = fresh_service.create(search_space=SPACE, sampler=TPE, warm_start_from=[source])
    before = fresh_service.get(f"/studies/{name}/imports/0")
    assert fresh_service.http.delete(f"/v1/studies/{source}").status_code == 204
    fresh_service.restart()

    assert fresh_service.get(f"/studies/{name}/imports/0") == before
    assert fresh_service.study(name)["n_imported"] == 14
    assert fresh_service.claim_one(name)["params"] == asked(study).params

    again = {**fresh_service.study(name)["definition"]}
    assert fresh_service.http.post("/v1/studies", json=again).status_code == 200
    assert fresh_service.study(name)["n_imported"] == 14
    assert fresh_service.http.delete(f"/v1/studies/{name}").status_code == 204
    assert fresh_service.store.imports.of_study(2) == []


def test_they_are_no_trials_of_the_study(service: Service) -> None:
    source = a_source(service)
    name = service.create(search_space=SPACE, sampler=TPE, n_trials=2, warm_start_from=[source])

    study = service.study(name)
    assert (study["n_imported"], study["best"], sum(study["trial_counts"].values())) == (14, None, 0)
    assert service.trials(name) == []
    assert service.get(f"/studies/{name}/best")["trials"] == []
    (listed,) = service.get(f"/studies/{name}/imports")["imports"]
    assert (listed["source"], listed["requested_by"], listed["n_trials"]) == (f"study {source}", "warm_start_from", 14)
    assert listed["left_out"] == {
        "state": 1,
        "results": 0,
        "names": 0,
        "distributions": 0,
        "values": 0,
        "constraints": 0,
    }

    run(service, name, 2)
    assert service.study(name)["state"] == "finished"
    assert [trial["number"] for trial in service.trials(name)] == [0, 1]
    assert service.study(name)["best"]["number"] in (0, 1)
    export = service.http.get(f"/v1/studies/{name}/export", params={"format": "csv"}).text
    assert len(export.splitlines()) == 3
    assert service.store.optuna.get_study_user_attrs(service.app.state.registry.get(name).record.study_id) == {
        "imported_trials": 14
    }
    service.http.post(f"/v1/studies/{name}/final", json={"top_k": 3})
    assert len(service.trials(f"{name}.final")) == 6  # of the study's own two


CLIP: Json = {"type": "categorical", "choices": [None, 1.0, 5.0]}


@pytest.mark.parametrize(
    ("space", "left_out"),
    [
        ({**SPACE, "learning_rate": {"type": "float", "low": 1e-6, "high": 1.0, "log": True}}, {}),
        ({**SPACE, "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-3, "log": True}}, {"values": 2}),
        ({**SPACE, "batch_size": {"type": "int", "low": 16, "high": 256, "step": 16}}, {"distributions": 4}),
        ({**SPACE, "batch_size": {"type": "int", "low": 16, "high": 256}}, {"distributions": 4}),
        ({**SPACE, "learning_rate": {"type": "categorical", "choices": [1e-4, 1e-2]}}, {"distributions": 4}),
        ({"learning_rate": SPACE["learning_rate"]}, {"names": 4}),
        ({**SPACE, "gradient_clip": CLIP}, {"names": 4}),
    ],
)
def test_trials_that_do_not_fit_are_left_out_and_counted(service: Service, space: Json, left_out: Json) -> None:
    source = service.create(
        search_space=SPACE,
        n_trials=4,
        enqueue=[{"learning_rate": rate, "batch_size": 64} for rate in (1e-4, 1e-3, 1e-2, 0.1)],
    )
    run(service, source, 4)
    wanted = definition(search_space=space, sampler="tpe", warm_start_from=[source])
    response = service.http.post("/v1/studies", json=wanted)
    if sum(left_out.values()) == 4:
        (reason,) = left_out
        lacking = "; the trials lack gradient_clip: warm_start_defaults can say what it was for them"
        advice = lacking if "gradient_clip" in space else ""
        assert errors_of(response) == {
            "warm_start_from.0": f"at least one trial must fit the search space: study {source} has none "
            f"(4 left out because of their {reason}){advice}"
        }
        assert code_of(service.http.get(f"/v1/studies/{wanted['name']}"), 404) == "study_not_found"
    else:
        assert response.status_code == 201
        (listed,) = service.get(f"/studies/{wanted['name']}/imports")["imports"]
        assert {reason: n for reason, n in listed["left_out"].items() if n} == left_out
        assert listed["n_trials"] == 4 - sum(left_out.values())
        run(service, wanted["name"], 1)


def test_conditional_parameters_must_be_there_as_the_conditions_say(service: Service) -> None:
    space = {
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}},
    }
    name = service.create(search_space=space, sampler="tpe")
    params: list[Json] = [
        {"optimizer": "sgd", "momentum": 0.5},
        {"optimizer": "adam"},
        {"optimizer": "adam", "momentum": 0.5},
        {"optimizer": "sgd"},
    ]
    trials = [{"params": one, "values": [0.5]} for one in params]
    body = {"source": "by hand", "trials": trials}
    made = service.http.post(f"/v1/studies/{name}/imports", json=body)
    assert made.status_code == 201
    assert (made.json()["n_trials"], made.json()["left_out"]["names"]) == (2, 2)
    kept = service.get(f"/studies/{name}/imports/0")["trials"]
    assert [trial["params"] for trial in kept] == params[:2]


def test_what_old_trials_lack_is_filled_in_from_defaults(service: Service) -> None:
    rate = SPACE["learning_rate"]
    old = service.create(search_space={"learning_rate": rate}, sampler="tpe")
    service.run(old, 3)
    space = {"optimizer": {"type": "categorical", "choices": ["sgd", "adam"]}, **SPACE, "momentum": MOMENTUM}
    defaults = {"batch_size": 64, "optimizer": "adam", "momentum": 0.5}
    name = service.create(search_space=space, sampler="tpe", warm_start_from=[old], warm_start_defaults=defaults)
    kept = service.get(f"/studies/{name}/imports/0")
    assert kept["n_trials"] == 3
    assert [set(trial["params"]) for trial in kept["trials"]] == [{"learning_rate", "batch_size", "optimizer"}] * 3
    trials = [{"params": {"learning_rate": 0.01, "batch_size": 32}, "values": [0.5]}]
    body = {"source": "x", "trials": trials, "defaults": {**defaults, "optimizer": "sgd"}}
    assert service.http.post(f"/v1/studies/{name}/imports", json=body).status_code == 201
    (taken,) = service.get(f"/studies/{name}/imports/1")["trials"]
    assert taken["params"] == {"learning_rate": 0.01, "batch_size": 32, "optimizer": "sgd", "momentum": 0.5}


MOMENTUM: Json = {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": ["sgd"]}}


def test_nan_of_a_pruned_trial_counts_and_nan_of_a_complete_one_is_left_out(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler={"name": "tpe", "seed": 0, "n_startup_trials": 3})
    pruned = {**one(state="PRUNED", values=None), "last_step": 2, "last_value": "nan"}
    trials = [one(), one(values=[0.8]), one(values=["nan"]), one(constraints={"x": "nan"}), pruned]
    body = {"source": "x", "trials": trials}
    made = service.http.post(f"/v1/studies/{name}/imports", json=body).json()
    assert made["n_trials"] == 3
    assert {reason: n for reason, n in made["left_out"].items() if n} == {"results": 2}
    run(service, name, 2)


def test_a_part_without_a_fitting_trial_is_no_error_if_so_wished(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler="tpe")
    path = f"/v1/studies/{name}/imports"
    body = {"source": "x", "trials": [one(state="FAIL", values=None)]}
    assert list(errors_of(service.http.post(path, json=body))) == ["trials"]
    answer = service.http.post(path, json={**body, "allow_empty": True})
    assert (answer.status_code, answer.json()["n_trials"]) == (201, 0)
    run(service, name, 1)


def test_a_check_imports_nothing(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler=TPE)
    path, body = f"/v1/studies/{name}/imports", {"source": "old.csv", "trials": [one(), one(state="FAIL", values=None)]}
    checked = service.http.post(path, params={"check": True}, json=body)
    assert service.get(f"/studies/{name}/imports")["imports"] == []
    assert service.study(name)["n_imported"] == 0

    made = service.http.post(path, json=body)
    again = service.http.post(path, params={"check": True}, json=body)

    assert (checked.status_code, made.status_code, again.status_code) == (200, 201, 200)
    assert checked.json() == made.json() == again.json()
    wrong = {**body, "trials": [one(values=[0.1, 0.2])]}
    assert list(errors_of(service.http.post(path, params={"check": True}, json=wrong))) == ["trials.0.values"]


def test_the_same_import_again_is_no_second_one(service: Service) -> None:
    name = service.create(search_space=SPACE, sampler=TPE, n_trials=3)
    path, body = f"/v1/studies/{name}/imports", {"source": "old.csv", "trials": [one()] * 12}
    before = service.events_after("", study=name)[-1].id
    first, again = (service.http.post(path, json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert service.study(name)["n_imported"] == 12
    assert before is not None
    told = [event.type for event in service.events_after(before, study=name)]
    assert told == ["trials_imported"]

    more = service.http.post(path, json={**body, "trials": [one(values=[0.2])]})
    assert (more.status_code, more.json()["number"]) == (201, 1)
    assert service.study(name)["n_imported"] == 13
    run(service, name, 1)


def test_rounds_are_narrowed_around_the_studys_own_trials(service: Service) -> None:
    source = a_source(service)
    narrowing = {"rounds": 2, "trials_per_round": 3, "keep_top": 2}
    name = service.create(search_space=SPACE, sampler=TPE, n_trials=6, narrowing=narrowing, warm_start_from=[source])
    run(service, name, 3)
    later = service.get(f"/studies/{name}/rounds")["rounds"][1]
    assert set(later["kept"]) <= {0, 1, 2}
    (lease,) = run(service, name, 1)
    bounds = later["ranges"]["learning_rate"]
    assert bounds["low"] <= lease["params"]["learning_rate"] <= bounds["high"]


def test_an_entrypoint_learns_from_parameters_that_no_search_space_has(service: Service) -> None:
    name = service.create(
        search_space={}, training={"entrypoint": "mypkg.train:objective"}, sampler=TPE, pruner="none", n_trials=3
    )
    distribution = {"type": "float", "low": -10.0, "high": 10.0}
    trials: list[Json] = [{"params": {"x": number - 6.0}, "values": [-abs(number - 8.0)]} for number in range(12)]
    path = f"/v1/studies/{name}/imports"
    errors = errors_of(service.http.post(path, json={"source": "old", "trials": trials}))
    assert errors["trials.0.params.x"] == "x must be in distributions: search_space lacks it"
    body = {"source": "old", "trials": trials, "distributions": {"x": distribution}}
    assert service.http.post(path, json=body).status_code == 201

    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=7, n_startup_trials=10))
    for trial in trials:
        kind: BaseDistribution = FloatDistribution(-10, 10)
        study.add_trial(create_trial(values=trial["values"], params=trial["params"], distributions={"x": kind}))

    def ask(wanted: Json) -> Any:
        (lease,) = service.claim(name, allow=["mypkg"])
        answer = service.http.post(
            f"/v1/leases/{lease['lease_id']}/suggest", json={"name": "x", "distribution": wanted}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    assert ask(distribution) == study.ask().suggest_float("x", -10, 10)
