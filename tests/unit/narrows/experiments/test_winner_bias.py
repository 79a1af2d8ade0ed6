from typing import Any

import pytest

from narrows.experiments.definition import Variant
from narrows.experiments.figures import EvaluatedModel
from narrows.experiments.runner import Measured
from narrows.experiments.winner_bias import ReportedAccuracy, best_trial_accuracy, bias_rows, confirmed_accuracy
from service.schemas.final import Candidate, Final, TestScore


def candidate(said: float, values: list[float]) -> Candidate:
    mean = sum(values) / len(values)
    return Candidate(
        trial_number=0,
        params={},
        validation_said=said,
        confirmed_values=values,
        confirmed_mean=mean,
        standard_error=None,
    )


def final(accuracy: float, *candidates: Candidate) -> Final:
    fields: dict[str, Any] = {"candidates": list(candidates), "test_said": score(accuracy)}
    return Final.model_construct(**fields)


def score(accuracy: float) -> TestScore:
    return TestScore(loss=0.3, accuracy=accuracy, accuracy_low=0.0, accuracy_high=1.0, n_images=100)


def measured(seed: int, best: Final | None, last: Final) -> Measured:
    return Measured(Variant(label="searched"), seed, [], last, EvaluatedModel({}, [], score(0.5)), best)


def test_each_report_stands_beside_the_test_of_its_own_winner() -> None:
    best, last = final(0.75, candidate(0.9, [0.8])), final(0.7, candidate(0.85, [0.7, 0.8]), candidate(0.9, [0.7]))
    assert best_trial_accuracy(best) == ReportedAccuracy(0.9, 0.75)
    assert confirmed_accuracy(last) == ReportedAccuracy(0.75, 0.7)
    assert best_trial_accuracy(best).bias == pytest.approx(0.15)


def test_the_table_has_the_mean_of_all_studies_with_its_error_and_each_study() -> None:
    studies = [
        measured(0, final(0.75, candidate(0.85, [0.8])), final(0.75, candidate(0.8, [0.75]))),
        measured(1, final(0.75, candidate(1.0, [0.8])), final(0.5, candidate(0.8, [0.25]))),
    ]
    summary, each = bias_rows(studies)
    assert summary.title.endswith("searched, 2 studies")
    mean, median, below = 3, 4, 5
    alone, means = summary.rows
    assert (alone[mean], alone[median], alone[below]) == ("0.175 ± 0.075", "0.175 (0.1 to 0.25)", "2 of 2")
    assert (means[mean], means[median], means[below]) == ("-0.125 ± 0.12", "-0.125 (-0.25 to 0)", "0 of 2")
    assert each.rows[1] == ["1", "1", "0.75", "0.25", "0.5"]


def test_without_an_evaluation_of_the_best_by_itself_there_is_nothing_to_tell() -> None:
    assert bias_rows([measured(0, None, final(0.5, candidate(0.8, [0.25])))]) == []
