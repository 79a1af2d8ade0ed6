import json
from typing import Any

import pytest

from narrows.cli.final import wait_for_final
from narrows.cli.main import run
from narrows.cli.output import console
from service.client.text import sentences
from service.schemas.final import Final
from tests.unit.narrows.cli.stand_in import StandIn

Capture = pytest.CaptureFixture[str]
Json = dict[str, Any]

SCORE = {"loss": 0.09, "accuracy": 0.9721, "accuracy_low": 0.9495, "accuracy_high": 0.9848, "n_images": 359}


def candidate(number: int, mean: float | None) -> Json:
    return {
        "trial_number": number,
        "params": {"learning_rate": 0.0123456},
        "validation_said": 0.98,
        "confirmed_values": [] if mean is None else [mean] * 3,
        "confirmed_mean": mean,
        "standard_error": None if mean is None else 0.002,
    }


def final_json(state: str = "complete", **changes: Any) -> Json:
    complete = state == "complete"
    return {
        "study": "digits",
        "number": 1,
        "state": state,
        "linked_study": "digits.final",
        "trials_done": 7 if complete else 2,
        "trials_total": 7,
        "requested_by": "anonymous",
        "requested_at": "2026-01-02T03:04:05Z",
        "forced": False,
        "reason": None,
        "metric": "validation_accuracy",
        "n_seeds": 3,
        "train_on_validation": False,
        "candidates": [candidate(7, 0.9712), candidate(3, None)],
        "winner": 7 if complete else None,
        "distinguishable": True if complete else None,
        "comparison": "Welch's t-test of trials 7 and 3: p = 0.01" if complete else None,
        "tested_trial": 6 if complete else None,
        "test_said": SCORE if complete else None,
        "test_attempts": [],
        "failure": "no such file" if state == "failed" else None,
        "ended_at": None,
        "earlier": [],
        **changes,
    }


def test_the_record_is_a_table_and_sentences(service: StandIn, capsys: Capture) -> None:
    service.answers["POST /v1/studies/digits/final"] = (201, final_json("running"))
    service.answers["GET /v1/studies/digits/final"] = (200, final_json())
    assert run(["final", "digits", "--top-k", "2", "--train-on-validation"]) == 0
    assert service.requests[0] == ("POST /v1/studies/digits/final", {"top_k": 2, "train_on_validation": True})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["7", "0.98", "0.9712", "0.002", "3/3", "learning_rate=0.0123"] in lines
    assert ["3", "0.98", "0/3", "learning_rate=0.0123"] in lines
    text = "\n".join(" ".join(line) for line in lines)
    assert "The winner is trial 7: better than the runner-up" in text
    assert "validation_accuracy 0.98 in the search, confirmed mean 0.9712" in text
    assert "Test accuracy 0.9721 (95 % interval 0.9495 to 0.9848, 359 images), loss 0.09" in text
    assert "The test split was read once" in text


def test_without_waiting_it_tells_how_far_it_is(service: StandIn, capsys: Capture) -> None:
    service.answers["POST /v1/studies/digits/final"] = (202, final_json("running"))
    assert run(["final", "digits", "--no-wait"]) == 0
    assert "2/6 confirmations done" in capsys.readouterr().out


def test_a_failure_is_told_and_exits_with_1(service: StandIn, capsys: Capture) -> None:
    service.answers["POST /v1/studies/digits/final"] = (201, final_json("failed"))
    service.answers["GET /v1/studies/digits/final"] = (200, final_json("failed"))
    assert run(["final", "digits"]) == 1
    assert "No test score: no such file" in capsys.readouterr().out


def test_json_is_the_record_alone(service: StandIn, capsys: Capture) -> None:
    service.answers["POST /v1/studies/digits/final"] = (200, final_json())
    service.answers["GET /v1/studies/digits/final"] = (200, final_json())
    assert run(["final", "digits", "--json", "--force", "--reason", "again"]) == 0
    assert json.loads(capsys.readouterr().out) == final_json()
    assert service.requests[0][1] == {"force": True, "reason": "again"}


def test_a_study_that_runs_is_a_message(service: StandIn, capsys: Capture) -> None:
    problem = {"title": "Conflict", "status": 409, "detail": "study digits is running", "code": "state_conflict"}
    service.answers["POST /v1/studies/digits/final"] = (409, problem)
    assert run(["final", "digits"]) == 1
    assert "study digits is running" in capsys.readouterr().err


def test_every_trial_that_ends_is_a_line(capsys: Capture) -> None:
    states = [("running", 0), ("running", 0), ("running", 4), ("complete", 7)]
    answers = [Final.model_validate(final_json(state, trials_done=done)) for state, done in states]
    pauses: list[float] = []
    assert wait_for_final(lambda: answers.pop(0), console(), sleep=pauses.append).state == "complete"
    assert capsys.readouterr().out.splitlines() == [
        "digits: 0/6 confirmations done",
        "digits: 4/6 confirmations done",
    ]
    assert len(pauses) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distinguishable": False}, "not distinguishable from the runner-up"),
        ({"distinguishable": None, "comparison": "there is no runner-up"}, "trial 7 (there is no runner-up)"),
        ({"forced": True, "reason": "wrong labels"}, "read again, because: wrong labels"),
        ({"train_on_validation": True}, "was trained on the training and validation data"),
    ],
)
def test_what_is_special_is_said(changes: Json, words: str) -> None:
    assert words in "\n".join(sentences(Final.model_validate(final_json(**changes))))


def test_no_command_is_named_that_needs_a_service_which_ends() -> None:
    final = Final.model_validate(final_json())
    left_out = [line for line in sentences(final) if line not in sentences(final, service_stays=False)]
    assert [line.partition(" ")[0] for line in left_out] == ["To"]


def test_a_record_is_shown_without_beginning_one(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/studies/digits/final"] = (200, final_json("failed"))
    assert run(["final", "digits", "--show"]) == 1
    assert [request for request, _ in service.requests] == ["GET /v1/studies/digits/final"]
    assert "No test score: no such file" in capsys.readouterr().out


def test_brackets_are_the_users_own(service: StandIn, capsys: Capture) -> None:
    params = {"a": "[/y]", "b": ":x:"}
    again = final_json(
        forced=True, reason="[/x] [bold]again :bug:", candidates=[candidate(7, 0.9) | {"params": params}]
    )
    service.answers["GET /v1/studies/digits/final"] = (200, again)
    assert run(["final", "digits", "--show"]) == 0
    shown = capsys.readouterr().out
    assert "read again, because: [/x] [bold]again :bug:" in shown
    assert "a=[/y]  b=:x:" in shown


def test_what_violates_a_constraint_is_named(service: StandIn, capsys: Capture) -> None:
    out = candidate(3, 0.99) | {"violated": ["latency <= 1", "size <= 2"]}
    service.answers["GET /v1/studies/digits/final"] = (200, final_json(candidates=[candidate(7, 0.9), out]))
    assert run(["final", "digits", "--show"]) == 0
    assert "Trial 3 cannot win: trained again it violates latency <= 1, size <= 2" in capsys.readouterr().out


def test_showing_goes_with_no_wish(service: StandIn, capsys: Capture) -> None:
    assert run(["final", "digits", "--show", "--n-seeds", "2"]) == 1
    assert service.requests == []
    assert "--show starts nothing, so it does not go with --n-seeds" in capsys.readouterr().err
