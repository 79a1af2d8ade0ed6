"""Studies of users' own code over HTTP: who gets their trials, define-by-run parameters, notes, ends."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pytest

from tests.integration.service_driver import LEASE_SECONDS, Json, Service, code_of, definition, errors_of, problem_of

ENTRYPOINT = "mypkg.train:objective"
RATE: Json = {"type": "float", "low": 1e-5, "high": 1e-1, "log": True}


def create(service: Service, **changes: Any) -> str:
    training = {"entrypoint": ENTRYPOINT, **changes.pop("training", {})}
    return service.create(**{"search_space": {}, "training": training, "sampler": "tpe", **changes})


def claim(service: Service, study: str | None, *allow: str, **more: Any) -> list[Json]:
    return service.claim(study, allow=list(allow), **more)


def lease_of(service: Service, study: str) -> Json:
    (lease,) = claim(service, study, "mypkg")
    return lease


def ask(service: Service, lease: Json, name: str, distribution: Json) -> Any:
    url = f"/v1/leases/{lease['lease_id']}/suggest"
    return service.http.post(url, json={"name": name, "distribution": distribution})


def value_of(service: Service, lease: Json, name: str, distribution: Json) -> Any:
    response = ask(service, lease, name, distribution)
    assert response.status_code == 200, response.text
    return response.json()["value"]


@pytest.mark.parametrize("allow", [["mypkg"], ["other", "mypkg.train"], ["mypkg.train"]])
def test_a_worker_that_allows_the_entrypoint_gets_the_trial(service: Service, allow: list[str]) -> None:
    study = create(service)

    (lease,) = claim(service, study, *allow)
    assert lease["training"]["entrypoint"] == ENTRYPOINT
    assert [objective["metric"] for objective in lease["objectives"]] == ["validation_accuracy"]


@pytest.mark.parametrize("allow", [[], ["mypk"], ["mypkg2"], ["mypkg.trai"], ["train"], ["mypkg.train.objective"]])
def test_another_worker_does_not(service: Service, allow: list[str]) -> None:
    assert claim(service, create(service), *allow) == []


@pytest.mark.parametrize("prefix", ["", ".", "mypkg.", ".mypkg", "*", "my pkg", "mypkg:objective", "../mypkg", "a/b"])
def test_a_prefix_that_is_no_module_is_refused(service: Service, prefix: str) -> None:
    body = {"claim_id": "c", "worker": {"id": "w"}, "allow": [prefix]}
    problem_of(service.http.post("/v1/claims", json=body), 422)


def test_such_a_trial_comes_alone(sqlite_service: Service) -> None:
    service = sqlite_service
    own, built_in = create(service), service.create()

    granted = [claim(service, None, "mypkg", max_trials=3, worker=f"w{number}") for number in range(3)]
    assert [[lease["study"] for lease in leases] for leases in granted] == [[own], [built_in] * 3, [own]]


def test_a_study_tells_that_it_waits_for_a_worker_that_allows_it(sqlite_service: Service) -> None:
    service = sqlite_service
    study = create(service, training={"entrypoint": "lonely.train:objective"})
    assert "--allow lonely" in service.study(study)["waits_for"]
    claim(service, None, "mypkg")
    assert "lonely.train:objective" in service.study(study)["waits_for"]
    (lease,) = claim(service, study, "lonely")
    assert service.study(study)["waits_for"] is None
    service.release(lease)
    assert service.study(study)["waits_for"] is None
    service.clock.advance(120)
    assert "--allow lonely" in service.study(study)["waits_for"]


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


def test_user_attrs_are_kept_and_come_with_the_next_lease(each_service: Service) -> None:
    service = each_service
    study = create(service)
    lease = lease_of(service, study)
    url = f"/v1/leases/{lease['lease_id']}/user-attrs"
    for attrs in ({"note": "x", "list": [1, {"a": None}]}, {"note": "y"}):
        assert service.http.post(url, json={"user_attrs": attrs}).status_code == 200
    service.release(lease)
    service.restart()

    expected = {"note": "y", "list": [1, {"a": None}]}
    assert lease_of(service, study)["user_attrs"] == expected
    assert service.trial(study, 0)["user_attrs"] == expected
    assert code_of(service.http.post(url, json={"user_attrs": {"note": "z"}}), 409) == "lease_closed"


@pytest.mark.parametrize("attrs", [{f"name-{number}": 1 for number in range(100)}, {"large": "x" * 65_536}])
def test_a_trial_has_so_many_user_attrs_and_no_more(service: Service, attrs: Json) -> None:
    lease = lease_of(service, create(service))
    url = f"/v1/leases/{lease['lease_id']}/user-attrs"
    assert service.http.post(url, json={"user_attrs": {"first": 1}}).status_code == 200
    assert "at most" in errors_of(service.http.post(url, json={"user_attrs": attrs}))["user_attrs"]
    assert service.trial(lease["study"], 0)["user_attrs"] == {"first": 1}


def test_code_that_never_reports_hears_of_the_end_of_its_study_when_its_lease_is_renewed(service: Service) -> None:
    study = create(service)
    lease = lease_of(service, study)
    assert service.http.patch(f"/v1/studies/{study}", json={"state": "stopped"}).status_code == 200
    renewed = service.http.post("/v1/leases/renew", json={"lease_ids": [lease["lease_id"]]}).json()
    assert [one["alive"] for one in renewed["leases"]] == [False]
    assert service.trial(study, 0)["state"] == "FAIL"
    assert "stopped" in service.trial(study, 0)["reason"]


def test_a_trial_that_gives_itself_up_is_pruned(service: Service) -> None:
    study = create(service)
    lease = lease_of(service, study)
    service.report(lease, 0, 0.4)
    url = f"/v1/leases/{lease['lease_id']}/prune"

    assert [service.http.post(url).json()["state"] for _ in range(2)] == ["PRUNED", "PRUNED"]
    assert code_of(service.http.post(f"/v1/leases/{lease['lease_id']}/release"), 409) == "lease_closed"
    trial = service.trial(study, 0)
    assert (trial["state"], trial["attempts"][0]["outcome"]) == ("PRUNED", "prune")


def test_output_is_taken_after_the_end_and_nothing_else(service: Service) -> None:
    study = create(service)
    lease = lease_of(service, study)
    service.complete(lease, values=[1.0])
    service.upload(lease, "output", b"the end")

    assert service.download(study, 0, "output") == b"the end"
    response = service.http.put(f"/v1/artifacts/{lease['lease_id']}/model", content=b"late")
    assert code_of(response, 409) == "lease_closed"


def test_output_of_an_attempt_that_gave_the_trial_back_is_late(service: Service) -> None:
    lease = lease_of(service, create(service))
    service.release(lease)
    response = service.http.put(f"/v1/artifacts/{lease['lease_id']}/output", content=b"late")
    assert code_of(response, 409) == "lease_closed"


def test_an_export_has_the_parameters_that_were_asked_for(service: Service) -> None:
    study = create(service)
    rate = value_of(service, lease_of(service, study), "lr", RATE)
    header, row = service.http.get(f"/v1/studies/{study}/export").text.splitlines()[:2]
    assert dict(zip(header.split(","), row.split(","), strict=True))["params_lr"] == str(rate)


@pytest.mark.parametrize(
    "path", ["best", "importance", "diagnosis", "rounds", "export?format=json", "trials/0/curves", "trials/0/artifacts"]
)
def test_what_is_told_of_a_study_is_told_of_users_code_too(service: Service, path: str) -> None:
    study = create(service, n_trials=7)
    for number in range(7):
        lease = lease_of(service, study)
        value_of(service, lease, "lr", RATE)
        for step in range(4):
            service.report(lease, step, 0.1 * number, train_accuracy=0.9)
        service.complete(lease, values=[0.1 * number])
    assert service.http.get(f"/v1/studies/{study}/{path}").status_code == 200


def test_there_is_no_final_evaluation_of_users_code(service: Service) -> None:
    study = create(service, n_trials=1)
    service.complete(lease_of(service, study), values=[1.0])
    assert code_of(service.http.post(f"/v1/studies/{study}/final", json={}), 409) == "state_conflict"


REFUSED: dict[str, tuple[Json, str, str]] = {
    "beside a data set": ({"training": {"entrypoint": ENTRYPOINT, "dataset": "digits"}}, "training", "dataset"),
    "no module": ({"training": {"entrypoint": "objective"}}, "training.entrypoint", "must be package.module:function"),
    "a path": (
        {"training": {"entrypoint": "../x:objective"}},
        "training.entrypoint",
        "must be package.module:function",
    ),
    "a method": (
        {"training": {"entrypoint": "os:path.join"}},
        "training.entrypoint",
        "must be package.module:function",
    ),
    "a newline": (
        {"training": {"entrypoint": "mypkg:run\n"}},
        "training.entrypoint",
        "must be package.module:function",
    ),
    "not ASCII": ({"training": {"entrypoint": "mуpkg:run"}}, "training.entrypoint", "must be package.module:function"),
    "argument trial": ({"training": {"entrypoint": ENTRYPOINT, "arguments": {"trial": 1}}}, "training", "trial"),
    "argument a-b": ({"training": {"entrypoint": ENTRYPOINT, "arguments": {"a-b": 1}}}, "training", "a-b"),
    "timeout 0": (
        {"training": {"entrypoint": ENTRYPOINT, "trial_timeout_seconds": 0}},
        "training.trial_timeout_seconds",
        "greater than 0",
    ),
    "grid": ({"sampler": "grid"}, "search_space", "grid must know"),
    "confirmation": ({"confirmation": {}}, "confirmation", "built-in"),
    "test metric": (
        {"objectives": [{"metric": "test_loss", "direction": "minimize"}]},
        "objectives.0.metric",
        "test_",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_definition_that_breaks_a_rule_names_it(service: Service, case: str) -> None:
    changes, field, words = REFUSED[case]
    wanted = definition(**{"search_space": {}, "training": {"entrypoint": ENTRYPOINT}, "pruner": "none", **changes})
    problem = problem_of(service.http.post("/v1/studies", json=wanted), 422)
    assert words in {error["field"]: error["message"] for error in problem["errors"]}[field]


def test_a_study_without_an_entrypoint_must_have_a_parameter(service: Service) -> None:
    wanted = definition()
    del wanted["search_space"]
    problem = problem_of(service.http.post("/v1/studies", json=wanted), 422)
    assert [error["field"] for error in problem["errors"]] == ["search_space"]
