import json
from typing import Any

import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import StandIn

Capture = pytest.CaptureFixture[str]


def trial_json(number: int, verdict: str, because: str, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "state": "COMPLETE",
        "verdict": verdict,
        "because": because,
        "n_epochs": 20,
        "best_epoch": 7,
        "best_validation": 0.9421,
        "train": 0.998,
        "validation": 0.9112,
        "gap": 0.0868,
        "gap_slope": 0.01,
        "fall": 0.0309,
        "tolerance": 0.01,
        "improving": False,
        **changes,
    }


def diagnosis_json(*trials: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "study": "digits",
        "train_metric": "train_accuracy",
        "validation_metric": "validation_accuracy",
        "counts": {"overfitting": 1, "healthy": 1, "unclear": 1},
        "advice": [{"field": "training.epochs", "message": "raise [epochs]"}, {"field": None, "message": "look again"}],
        "trials": list(trials),
        "n_left_out": 0,
        **changes,
    }


NOTHING = dict.fromkeys(
    ("best_epoch", "best_validation", "train", "validation", "gap", "gap_slope", "fall", "tolerance")
)
SEVERAL = diagnosis_json(
    trial_json(0, "healthy", "no fall, no large gap"),
    trial_json(1, "unclear", "no train/validation curves", n_epochs=0, **NOTHING),
    trial_json(2, "overfitting", "validation fell"),
)
ROUTE = "GET /v1/studies/digits/diagnosis"


def test_trials_are_a_table_worst_first_and_the_advice_follows(service: StandIn, capsys: Capture) -> None:
    service.answers[ROUTE] = (200, SEVERAL)
    assert run(["diagnose", "digits"]) == 0

    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["trial", "verdict", "epochs", "train", "validation", "gap", "fall", "why"]
    assert rows[0].split() == ["2", "overfitting", "20", "0.998", "0.911", "0.0868", "0.0309", "validation", "fell"]
    assert rows[1].split()[:2] == ["0", "healthy"]
    assert rows[2].split() == ["1", "unclear", "0", "no", "train/validation", "curves"]
    assert rows[3:] == [
        "",
        "1 overfitting, 1 healthy, 1 unclear, by train_accuracy and validation_accuracy.",
        "",
        "What to change next",
        "  - raise [epochs]",
        "  - look again",
    ]


def test_what_is_not_shown_is_told(service: StandIn, capsys: Capture) -> None:
    service.answers[ROUTE] = (200, {**SEVERAL, "n_left_out": 7})
    assert run(["diagnose", "digits", "--limit", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "This is 1 of 3 trials: --limit shows more." in lines
    assert "7 older trials were not examined." in lines


def test_a_study_that_has_not_begun_is_a_line(service: StandIn, capsys: Capture) -> None:
    service.answers[ROUTE] = (200, diagnosis_json())
    assert run(["diagnose", "digits"]) == 0
    assert capsys.readouterr().out == "No trial of digits has begun yet.\n"


def test_json_is_the_answer_as_the_service_sent_it(service: StandIn, capsys: Capture) -> None:
    service.answers[ROUTE] = (200, SEVERAL)
    assert run(["diagnose", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == SEVERAL
