from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.schemas.study.definition import Definition
from service.study.study_end import StudyEnd
from storage import StudyRecord
from tests.integration.service_driver import definition

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RECORD = StudyRecord(1, "study", {}, "running", 3, NOW)


def end(**changes: Any) -> StudyEnd:
    return StudyEnd(Definition.model_validate(definition(**changes)))


@pytest.mark.parametrize(
    ("seconds", "reason"), [(9.999, None), (10.0, "timeout_seconds 10 passed"), (1e9, "timeout_seconds 10 passed")]
)
def test_time_counts_from_the_first_trial(seconds: float, reason: str | None) -> None:
    study_end = end(timeout_seconds=10)

    assert study_end.early_reason(RECORD, NOW + timedelta(days=9)) is None
    assert study_end.early_reason(replace(RECORD, started_at=NOW), NOW + timedelta(seconds=seconds)) == reason


@pytest.mark.parametrize(
    ("direction", "values", "reached"),
    [
        ("maximize", [0.89, -1.0], False),
        ("maximize", [0.9], True),
        ("maximize", [float("inf")], True),
        ("maximize", [float("-inf")], False),
        ("minimize", [0.91, float("inf")], False),
        ("minimize", [0.9], True),
        ("minimize", [float("-inf")], True),
    ],
)
def test_a_target_is_reached_from_the_right_side(direction: str, values: list[float], reached: bool) -> None:
    study_end = end(target_value=0.9, objectives=[{"metric": "validation_loss", "direction": direction}])
    for number, value in enumerate(values):
        study_end.check_target(number, [value])

    assert (study_end.early_reason(RECORD, NOW) is not None) is reached


def test_the_first_trial_that_reached_the_target_is_named() -> None:
    study_end = end(target_value=0)
    for number, value in enumerate([-1.0, 0.5, 0.9]):
        study_end.check_target(number, [value])

    assert study_end.early_reason(RECORD, NOW) == "trial 1 reached target_value 0"


def test_without_limits_nothing_ends_early() -> None:
    study_end = end()
    study_end.check_target(0, [float("inf")])

    assert study_end.early_reason(replace(RECORD, started_at=NOW), NOW + timedelta(days=9999)) is None
