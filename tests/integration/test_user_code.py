"""Studies of users' own code over HTTP: which workers get their trials, notes, ends, refused definitions."""

import pytest

from service.schemas.artifacts import MAX_EARLIER_OUTPUTS
from tests.integration.service_driver import Json, Service, code_of, definition, errors_of, problem_of
from tests.integration.user_code_driver import ENTRYPOINT, RATE, claim, create, lease_of, value_of


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


def outputs_of(service: Service, study: str) -> dict[str, str]:
    """The text of each output of trial 0, by its name."""
    listed = service.get(f"/studies/{study}/trials/0/artifacts")["artifacts"]
    return {one["name"]: service.download(study, 0, one["name"]).decode() for one in listed}


def test_the_output_of_earlier_attempts_is_kept(sqlite_service: Service) -> None:
    service = sqlite_service
    study = create(service)
    first = lease_of(service, study)
    service.upload(first, "output", b"first")
    service.fail(first, retry=True)
    service.upload(first, "output", b"first, to its end")
    assert outputs_of(service, study) == {"output": "first, to its end"}

    second = lease_of(service, study)
    service.upload(second, "output", b"second")
    service.upload(second, "output", b"second, more")
    service.upload(first, "output", b"first, late")
    assert outputs_of(service, study) == {"output": "second, more", "output-1": "first, late"}
    service.restart()
    assert outputs_of(service, study) == {"output": "second, more", "output-1": "first, late"}
    service.app.state.artifacts.sweep()
    assert outputs_of(service, study) == {"output": "second, more", "output-1": "first, late"}


def test_the_output_of_so_many_attempts_is_kept(sqlite_service: Service) -> None:
    service = sqlite_service
    study = create(service, max_attempts=MAX_EARLIER_OUTPUTS + 3)
    for attempt in range(1, MAX_EARLIER_OUTPUTS + 4):
        lease = lease_of(service, study)
        service.upload(lease, "output", str(attempt).encode())
        service.fail(lease, retry=True)
    last = MAX_EARLIER_OUTPUTS + 3
    kept = {f"output-{one}": str(one) for one in range(last - MAX_EARLIER_OUTPUTS, last)}
    assert outputs_of(service, study) == {"output": str(last), **kept}
    service.app.state.artifacts.sweep()
    assert len(list(service.folder.rglob("*"))) >= MAX_EARLIER_OUTPUTS + 1
    assert outputs_of(service, study) == {"output": str(last), **kept}


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
    "argument context": ({"training": {"entrypoint": ENTRYPOINT, "arguments": {"context": 1}}}, "training", "context"),
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
