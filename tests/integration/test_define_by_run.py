"""Define-by-run parameters over HTTP: each is sampled once, by the rules of its distribution, and then fixed."""

from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest

from tests.integration.service_driver import LEASE_SECONDS, Json, Service, code_of, problem_of
from tests.integration.user_code_driver import RATE, ask, create, lease_of, value_of


def test_a_parameter_is_sampled_once_and_then_fixed(each_service: Service) -> None:
    service = each_service
    study = create(service)
    lease = lease_of(service, study)
    rate = value_of(service, lease, "lr", RATE)
    kind = value_of(service, lease, "kind", {"type": "categorical", "choices": ["a", "b", None, True, 2]})
    depth = value_of(service, lease, "depth", {"type": "int", "low": 1, "high": 9, "step": 3})

    assert 1e-5 <= rate <= 1e-1
    assert depth in (1, 4, 7)
    assert value_of(service, lease, "lr", RATE) == rate
    service.restart()
    assert value_of(service, lease, "lr", {**RATE, "high": 1.0}) == rate  # as Optuna, which warns
    assert service.trial(study, 0)["params"] == {"lr": rate, "kind": kind, "depth": depth}
    stock = optuna.load_study(study_name=study, storage=service.store.optuna)
    assert stock.trials[0].params == {"lr": rate, "kind": kind, "depth": depth}


def test_what_was_asked_for_is_in_the_next_lease_of_the_trial(service: Service) -> None:
    study = create(service)
    lease = lease_of(service, study)
    rate = value_of(service, lease, "lr", RATE)
    service.clock.advance(LEASE_SECONDS + 1)
    again = lease_of(service, study)

    assert (again["trial_number"], again["attempt"], again["params"]) == (0, 2, {"lr": rate})
    assert value_of(service, again, "lr", RATE) == rate
    assert code_of(ask(service, lease, "lr", RATE), 409) == "lease_lost"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (RATE, {"type": "int", "low": 1, "high": 2}),
        (RATE, {"type": "categorical", "choices": [1.0]}),
        ({"type": "categorical", "choices": [1, 2]}, {"type": "categorical", "choices": [1, 2, 3]}),
    ],
)
def test_another_distribution_is_a_conflict_in_the_trial_and_in_the_study(
    service: Service, first: Json, second: Json
) -> None:
    study = create(service)
    lease, other = lease_of(service, study), lease_of(service, study)
    value_of(service, lease, "x", first)

    assert code_of(ask(service, lease, "x", second), 409) == "distribution_conflict"
    assert code_of(ask(service, other, "x", second), 409) == "distribution_conflict"
    assert value_of(service, other, "x", first) is not None


@pytest.mark.parametrize(
    "distribution",
    [
        {"type": "float", "low": 2.0, "high": 1.0},
        {"type": "float", "low": 0.0, "high": 1.0, "log": True},
        {"type": "float", "low": 0.0, "high": 1.0, "when": {"y": [1]}},
        {"type": "int", "low": 1, "high": 3, "step": 0},
        {"type": "categorical", "choices": []},
        {"type": "categorical", "choices": [[1]]},
        {"type": "uniform", "low": 0, "high": 1},
    ],
)
def test_a_distribution_that_breaks_a_rule_is_refused(service: Service, distribution: Json) -> None:
    lease = lease_of(service, create(service))

    assert problem_of(ask(service, lease, "x", distribution), 422)["errors"]
    assert service.trial(lease["study"], 0)["params"] == {}


def test_a_range_of_one_number_is_that_number(service: Service) -> None:
    lease = lease_of(service, create(service))

    assert value_of(service, lease, "x", {"type": "float", "low": 0.5, "high": 0.5}) == 0.5
    assert value_of(service, lease, "n", {"type": "int", "low": 3, "high": 3}) == 3


def test_an_enqueued_value_that_is_never_asked_for_is_told(service: Service) -> None:
    study = create(service, enqueue=[{"lr": 0.05, "num_layers": 5}])
    lease = lease_of(service, study)
    value_of(service, lease, "lr", RATE)
    assert service.trial(study, 0)["unused_params"] == {}
    service.complete(lease, values=[0.5])
    assert service.trial(study, 0)["unused_params"] == {"num_layers": 5}


def test_an_enqueued_fraction_is_refused_for_a_whole_number(service: Service) -> None:
    study = create(service, enqueue=[{"n_layers": 1.1}, {"n_layers": 2.0}])
    kind = {"type": "int", "low": 1, "high": 4}
    problem = problem_of(ask(service, lease_of(service, study), "n_layers", kind), 409)
    assert problem["detail"] == "n_layers must be a whole number: it was enqueued as 1.1"
    assert value_of(service, lease_of(service, study), "n_layers", kind) == 2


def test_an_enqueued_value_is_taken_for_a_parameter_that_is_asked_for(service: Service) -> None:
    study = create(service, enqueue=[{"lr": 0.05}])
    assert value_of(service, lease_of(service, study), "lr", RATE) == 0.05


def test_two_calls_at_a_time_get_one_value(service: Service) -> None:
    lease = lease_of(service, create(service))
    with ThreadPoolExecutor(8) as pool:
        values = set(pool.map(lambda _: value_of(service, lease, "lr", RATE), range(16)))
    assert len(values) == 1


def test_declared_parameters_and_asked_ones_go_together(service: Service) -> None:
    study = create(service, search_space={"any.free name": RATE}, n_trials=15)
    for _ in range(15):
        lease = lease_of(service, study)
        assert list(lease["params"]) == ["any.free name"]
        extra = value_of(service, lease, "extra", {"type": "int", "low": 0, "high": 100})
        service.complete(lease, values=[float(extra)])
    trials = service.trials(study)
    assert all(set(trial["params"]) == {"any.free name", "extra"} for trial in trials)
    assert service.study(study)["state"] == "finished"


def test_the_sampler_learns_from_parameters_that_are_asked_for(service: Service) -> None:
    study = create(service, n_trials=60, sampler={"name": "tpe", "seed": 1})
    values = []
    for _ in range(60):
        lease = lease_of(service, study)
        value = value_of(service, lease, "x", {"type": "float", "low": -10.0, "high": 10.0})
        service.complete(lease, values=[-((value - 3) ** 2)])
        values.append(abs(value - 3))
    assert sum(values[40:]) / 20 < sum(values[:20]) / 20 / 2


def test_a_built_in_study_has_no_further_parameters(service: Service) -> None:
    lease = service.claim_one(service.create())
    assert code_of(ask(service, lease, "x", RATE), 409) == "state_conflict"


def test_an_export_has_the_parameters_that_were_asked_for(service: Service) -> None:
    study = create(service)
    rate = value_of(service, lease_of(service, study), "lr", RATE)
    header, row = service.http.get(f"/v1/studies/{study}/export").text.splitlines()[:2]
    assert dict(zip(header.split(","), row.split(","), strict=True))["params_lr"] == str(rate)
