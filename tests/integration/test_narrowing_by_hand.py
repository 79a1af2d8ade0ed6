"""Narrowing rounds that a user begins, and why some studies cannot be narrowed."""

import pytest

from tests.integration.narrowing_driver import DROPOUT, NARROWING, create, is_inside, narrow, rounds, run
from tests.integration.service_driver import Json, Service, code_of, errors_of, problem_of


def test_any_study_can_be_narrowed_by_hand(each_service: Service) -> None:
    name = create(each_service, narrowing=None)
    run(each_service, name, 6)

    preview = narrow(each_service, name, preview=True, keep_top=3)
    assert preview.status_code == 200
    assert preview.json()["preview"] is True
    assert (preview.json()["round"], preview.json()["first_trial"], preview.json()["began_at"]) == (2, 6, None)
    assert len(rounds(each_service, name)) == 1

    made = narrow(each_service, name, keep_top=3, round=2)
    assert made.status_code == 201
    assert made.json()["ranges"] == preview.json()["ranges"]
    assert made.json()["requested_by"] == "anonymous"
    assert [one["round"] for one in rounds(each_service, name)] == [1, 2]
    leases = each_service.claim(name, max_trials=12)
    assert len(leases) == 12
    assert all(is_inside(lease["params"], made.json()["ranges"]) for lease in leases)


def test_a_round_is_begun_once_by_the_same_call(service: Service) -> None:
    name = create(service, narrowing=None)
    run(service, name, 6)
    assert narrow(service, name, round=2).status_code == 201

    assert code_of(narrow(service, name, round=2), 409) == "round_exists"
    assert code_of(narrow(service, name), 409) == "round_exists"  # it has no trial yet
    run(service, name, 1)
    assert code_of(narrow(service, name, round=2), 409) == "round_exists"
    assert code_of(narrow(service, name, round=2, preview=True), 409) == "round_exists"
    assert errors_of(narrow(service, name, round=4)) == {"round": "round must be the next one, 3: 4"}
    assert len(rounds(service, name)) == 2


def test_a_round_begun_by_hand_counts_among_those_of_the_definition(service: Service) -> None:
    name = create(service)
    run(service, name, 4)
    assert narrow(service, name).json()["keep_top"] == 2
    assert len(service.claim(name, max_trials=18)) == 6
    assert [one["first_trial"] for one in rounds(service, name)] == [0, 4]


def test_trials_under_a_lease_go_on_when_the_ranges_change(service: Service) -> None:
    name = create(service, narrowing=None)
    run(service, name, 6)
    lease = service.claim_one(name)
    assert narrow(service, name).status_code == 201
    assert service.report(lease, 0) == "continue"
    assert service.complete(lease, 0.1) == "COMPLETE"


def test_a_finished_study_can_be_narrowed_and_then_extended(service: Service) -> None:
    name = create(service, narrowing=None, n_trials=6)
    run(service, name, 6)
    assert narrow(service, name).status_code == 201
    service.change(name, n_trials=8)
    assert is_inside(service.claim_one(name)["params"], rounds(service, name)[1]["ranges"])


TWO = [{"metric": name, "direction": "minimize"} for name in ("train_loss", "validation_loss")]


INT = {"batch_size": {"type": "int", "low": 1, "high": 9}}


GRID = {"dropout": {**DROPOUT, "step": 0.1}}


IMPOSSIBLE: dict[str, tuple[Json, str]] = {
    "too few trials": ({}, "0 complete trials, and keep_top is 5"),
    "several objectives": ({"objectives": TWO}, "has several objectives: there is no best trial"),
    "no float": ({"search_space": INT}, "searches no float parameter"),
    "a grid": ({"search_space": GRID, "sampler": "grid"}, "tries every configuration (grid)"),
    "all of it": ({"search_space": GRID, "sampler": "auto"}, "tries every configuration (brute_force)"),
}


@pytest.mark.parametrize(("changes", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
@pytest.mark.parametrize("preview", [True, False])
def test_what_cannot_be_narrowed_says_why(service: Service, changes: Json, words: str, preview: bool) -> None:
    name = create(service, narrowing=None, **changes)
    problem = problem_of(narrow(service, name, preview=preview), 409)
    assert problem["code"] == "state_conflict"
    assert words in problem["detail"]
    assert len(rounds(service, name)) == 1


def test_nothing_is_begun_when_every_range_stays(service: Service) -> None:
    name = service.create(n_trials=9, enqueue=[{"learning_rate": 1e-5}])
    service.complete(service.claim_one(name), 5.0)

    preview = narrow(service, name, keep_top=1, preview=True).json()
    assert preview["ranges"]["learning_rate"]["verdict"] == "kept"
    problem = problem_of(narrow(service, name, keep_top=1), 409)
    assert (
        "learning_rate: the best trial lies at the low end of the range, 1e-05: it should be widened"
        in problem["detail"]
    )
    assert len(rounds(service, name)) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [({"keep_top": 0}, "keep_top"), ({"margin": 1.5}, "margin"), ({"round": 1}, "round"), ({"top": 1}, "top")],
)
def test_a_wrong_request_names_its_field(service: Service, body: Json, field: str) -> None:
    name = service.create()
    assert set(errors_of(narrow(service, name, **body))) == {field}


def test_a_final_evaluation_is_not_narrowed(service: Service) -> None:
    name = create(service, n_trials=6, narrowing={**NARROWING, "rounds": 1})
    run(service, name, 6)
    assert service.http.post(f"/v1/studies/{name}/final", json={"top_k": 2, "n_seeds": 1}).status_code == 201
    problem = problem_of(narrow(service, f"{name}.final"), 409)
    assert "is a final evaluation" in problem["detail"]
    assert service.study(f"{name}.final")["definition"].get("narrowing") is None
