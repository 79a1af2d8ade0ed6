r"""What is wrong with one study harms no other: half of a surrogate pair, a trial that cannot be made, a lost rule."""

import json
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial
from sqlalchemy import text

from service.study.grant_fault import PAUSE_SECONDS
from storage import FIXED_PARAMS_ATTR
from tests.integration.service_driver import LEARNING_RATE, Json, Service, code_of, definition, errors_of

HALF = "smile \ud83d"
OBJECTIVE: Json = {
    "objectives": [{"metric": "loss", "direction": "minimize"}],
    "training": {"entrypoint": "mine.train:f"},
}
PROMPT: Json = {"prompt": {"type": "categorical", "choices": ["plain", HALF]}}


def send(service: Service, path: str, body: Any) -> Any:
    """Send a body as JSON with escapes: half of a surrogate pair has no bytes of its own."""
    return service.http.post(f"/v1{path}", content=json.dumps(body), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("changes", "field", "subject"),
    [
        ({"search_space": PROMPT}, "search_space.prompt.choices.1", "choices.1"),
        (
            {"training": {"entrypoint": "m.t:f", "arguments": {"texts": [HALF]}}},
            "training.arguments.texts.0",
            "texts.0",
        ),
        ({"enqueue": [{"prompt": HALF}]}, "enqueue.0.prompt", "prompt"),
        ({"name": HALF}, "name", "name"),
        ({"search_space": {HALF: LEARNING_RATE}}, "search_space", "the name of a field"),
    ],
)
def test_a_definition_that_holds_half_a_surrogate_pair_is_refused(
    service: Service, changes: Json, field: str, subject: str
) -> None:
    wanted = definition(**{**OBJECTIVE, **changes})
    ((named, message),) = errors_of(send(service, "/studies", wanted)).items()
    assert named == field
    assert message == subject + r" must be Unicode text: 'smile \ud83d'"
    if wanted["name"] != HALF:
        assert code_of(service.http.get(f"/v1/studies/{wanted['name']}"), 404) == "study_not_found"


@pytest.mark.parametrize("number", [10**309, -(10**309), 10**4000], ids=["large", "small", "long"])
def test_a_whole_number_beyond_every_double_is_refused(service: Service, number: int) -> None:
    choices = {"n": {"type": "categorical", "choices": [1, number]}}
    errors = errors_of(send(service, "/studies", definition(**OBJECTIVE, search_space=choices)))
    assert errors["search_space.n.choices.1"].startswith("choices.1 must be a finite number: ")
    name = service.create(**OBJECTIVE)
    assert list(errors_of(send(service, f"/studies/{name}/trials", {"params": {"free": number}}))) == ["params.free"]


def test_the_same_in_yaml_is_refused(service: Service) -> None:
    wanted = json.dumps(definition(**OBJECTIVE, search_space=PROMPT))
    response = service.http.post("/v1/studies", content=wanted, headers={"Content-Type": "application/yaml"})
    assert list(errors_of(response)) == ["search_space.prompt.choices.1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_halves_that_are_not_escaped_are_refused_too(service: Service, encoding: str) -> None:
    body = json.dumps(definition(**OBJECTIVE, search_space=PROMPT), ensure_ascii=False)
    response = service.http.post(
        "/v1/studies",
        content=body.encode(encoding, "surrogatepass"),
        headers={"Content-Type": "application/json"},
    )
    assert list(errors_of(response)) == ["search_space.prompt.choices.1"]


def test_no_call_of_a_trial_takes_half_a_surrogate_pair(service: Service) -> None:
    name = service.create(**OBJECTIVE, search_space={})
    (lease,) = service.claim(name, allow=["mine"])
    path = f"/leases/{lease['lease_id']}"
    kind = {"type": "categorical", "choices": ["plain", HALF]}
    trial = {"state": "COMPLETE", "params": {"a": HALF}, "values": [1.0]}
    wrong: list[tuple[str, Json, str]] = [
        (f"{path}/user-attrs", {"user_attrs": {"note": {"deep": [HALF]}}}, "user_attrs.note.deep.0"),
        (f"{path}/user-attrs", {"user_attrs": {"note": "\\ud83d\ude00"}}, "user_attrs.note"),
        (f"{path}/suggest", {"name": "a", "distribution": kind}, "distribution.choices.1"),
        (f"{path}/fail", {"reason": HALF}, "reason"),
        (f"/studies/{name}/trials", {"params": {"a": HALF}}, "params.a"),
        (f"/studies/{name}/imports", {"source": "x", "trials": [trial]}, "trials.0.params.a"),
    ]
    for route, body, field in wrong:
        assert list(errors_of(send(service, route, body))) == [field], route
    assert service.trial(name, 0)["user_attrs"] == {}
    assert service.get("/studies", limit=1000)["studies"]


def test_whole_pairs_and_escaped_backslashes_are_taken(service: Service) -> None:
    choices = ["\U0001f600", r"\ud83d", "\ufffd", "\x00"]
    space = {"prompt": {"type": "categorical", "choices": choices}}
    wanted = definition(**OBJECTIVE, search_space=space)
    assert send(service, "/studies", wanted).status_code == 201
    assert service.study(wanted["name"])["definition"]["search_space"]["prompt"]["choices"] == choices


def test_halves_that_another_program_has_stored_are_replaced(fresh_service: Service) -> None:
    service = fresh_service
    name = service.create(
        **OBJECTIVE, search_space={"prompt": {"type": "categorical", "choices": ["plain", "smile ?"]}}
    )
    study_id = service.store.optuna.get_study_id_from_name(name)
    service.store.optuna.set_study_user_attr(study_id, "note", HALF)
    service.close()
    with service.store.optuna.engine.begin() as connection:
        stored = "UPDATE narrows_studies SET definition = replace(definition, 'smile ?', :half)"
        connection.execute(text(stored), {"half": r"smile \ud83d"})
    service._open()
    assert service.study(name)["definition"]["search_space"]["prompt"]["choices"] == ["plain", "smile \ufffd"]
    assert [study["name"] for study in service.get("/studies")["studies"]] == [name]
    assert len(service.claim(name, allow=["mine"])) == 1
    exported = service.http.get(f"/v1/studies/{name}/export", params={"format": "optuna"})
    assert exported.status_code == 200
    assert "smile \ufffd" in exported.text


def test_a_study_whose_trials_cannot_be_made_fails_alone(fresh_service: Service) -> None:
    service = fresh_service
    sick = service.create(search_space={"optimizer": {"type": "categorical", "choices": ["sgd", "adam"]}})
    study_id = service.store.optuna.get_study_id_from_name(sick)
    attrs = {FIXED_PARAMS_ATTR: {"optimizer": "of another program"}}
    service.store.optuna.create_new_trial(study_id, create_trial(state=TrialState.WAITING, system_attrs=attrs))
    service.restart()
    healthy = service.create(n_trials=3)

    assert [lease["study"] for lease in service.claim(max_trials=3)] == [healthy] * 3
    assert service.claim(sick) == []
    assert service.study(sick)["waits_for"].startswith("no trial can be made: ")
    assert service.study(healthy)["waits_for"] is None
    assert service.study(sick)["state"] == "running"


def test_a_study_that_can_no_longer_be_loaded_fails_alone(fresh_service: Service) -> None:
    service = fresh_service
    broken, healthy = service.create(), service.create()
    service.close()
    with service.store.optuna.engine.begin() as connection:
        stored = "UPDATE narrows_studies SET definition = :definition WHERE definition LIKE :name"
        space = {"learning_rate": {"type": "float", "low": -1e308, "high": 1e308}}
        wrong = json.dumps(definition(name=broken, search_space=space))
        connection.execute(text(stored), {"definition": wrong, "name": f"%{broken}%"})
    service._open()

    assert [study["name"] for study in service.get("/studies")["studies"]] == [healthy]
    answer = service.http.get(f"/v1/studies/{broken}")
    assert code_of(answer, 409) == "state_conflict"
    assert "search_space.learning_rate: high - low must be a finite number" in answer.json()["detail"]
    assert len(service.claim()) == 1
    assert service.http.delete(f"/v1/studies/{broken}").status_code == 204
    assert service.create(name=broken) == broken
    service.restart()
    assert service.study(broken)["state"] == "running"


def test_all_waiting_claims_are_woken_when_a_study_can_make_trials_again(service: Service) -> None:
    name = service.create()
    live = service.app.state.registry.get(name)
    live.grant_fault.note(ValueError("no trial"))
    woken: list[object] = []
    live._notify = woken.append
    assert service.claim(name) == []

    service.clock.advance(PAUSE_SECONDS)
    assert len(service.claim(name)) == 1
    assert woken == [live]
    assert len(service.claim(name)) == 1
    assert woken == [live]
