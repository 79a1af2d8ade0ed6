"""What `narrows best` and `narrows watch` say of the best trials."""

from typing import Any

import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import StandIn, study_json, trial_json

Capture = pytest.CaptureFixture[str]


def test_best_is_a_table(service: StandIn, capsys: Capture) -> None:
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    service.answers["GET /v1/studies/digits/best?k=2"] = (200, {"trials": [trial_json(7, 0.98), trial_json(3)]})
    assert run(["best", "digits", "-k", "2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert rows == [["7", "0.98", "0.0123", "20", "10", "s"], ["3", "0.97", "0.0123", "20", "10", "s"]]


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"state": "PRUNED"}, "was pruned after epoch 20"),
        ({"state": "WAITING", "paused_at_rung": 4}, "is paused after"),
    ],
)
def test_best_tells_of_a_better_trial_that_is_not_complete(
    service: StandIn, capsys: Capture, changes: dict[str, Any], how: str
) -> None:
    better = trial_json(9, values=None, metrics={"validation_accuracy": 0.99}, **changes)
    service.answers["GET /v1/studies/digits"] = (200, study_json())
    service.answers["GET /v1/studies/digits/best?k=5"] = (200, {"trials": [trial_json(3)], "better_unfinished": better})
    assert run(["best", "digits"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"Trial 9 {how}")
    assert last.endswith("No complete trial is as good as its last validation_accuracy, 0.99.")


def test_the_end_of_watch_tells_of_it_too(service: StandIn, capsys: Capture) -> None:
    better = trial_json(9, values=None, metrics={"validation_accuracy": 0.99}, state="PRUNED")
    service.answers["GET /v1/studies/digits"] = (
        200,
        study_json(state="finished", trial_counts={"COMPLETE": 2, "PRUNED": 1}),
    )
    service.answers["GET /v1/studies/digits/best?k=1"] = (200, {"trials": [trial_json(3)], "better_unfinished": better})
    assert run(["watch", "digits"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Trial 9 was pruned after epoch 20")
