import math
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.diagnosis.curve_pair import CurvePair, MetricPair, choose_metric_pair, curve_pair
from service.diagnosis.study_baseline import StudyBaseline
from service.diagnosis.verdicts import judge_trial
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Objective
from tests.unit.service.diagnosis.curves import FALLING, HEALTHY, LOW, SHORT, STANDING, WORSE, pair, rising

PATIENT = settings(deadline=None)
"""A machine that is busy with other tests is no failure."""

STUDY = StudyBaseline.of([HEALTHY, FALLING, STANDING, LOW])
EMPTY = CurvePair([], [], [])

any_value = st.floats(allow_nan=True, allow_infinity=True)
any_pair = st.lists(st.tuples(any_value, any_value), max_size=12).map(
    lambda rows: pair([train for train, _ in rows], [value for _, value in rows])
)
accuracy = st.floats(0.0, 1.0, width=16)
finite_pair = st.lists(st.tuples(accuracy, accuracy), min_size=3, max_size=12).map(
    lambda rows: pair([train for train, _ in rows], [value for _, value in rows])
)


@pytest.mark.parametrize(
    ("curves", "verdict", "because"),
    [
        (HEALTHY, "healthy", "no fall; the gap is 5% of the span"),
        (FALLING, "overfitting", "validation got worse by 0.0922 since epoch 5 while the gap grew by 0.285"),
        (STANDING, "overfitting", "validation stood still since epoch 6, with a gap of 0.292"),
        (LOW, "underfitting", "training reached 0.498 and validation 0.478 by epoch 19, short of 0.737"),
        (WORSE, "diverged", "training ended worse than its first epoch, by 0.593"),
        (SHORT, "unclear", "2 epochs are too few to tell"),
        (pair([0.5], [0.5]), "unclear", "1 epoch is too few to tell"),
        (EMPTY, "unclear", "no train/validation curves"),
    ],
)
def test_a_verdict_follows_from_the_curves(curves: CurvePair, verdict: str, because: str) -> None:
    found = judge_trial(curves, STUDY)

    assert found.verdict == verdict
    assert found.because == because


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
def test_a_value_that_is_not_finite_is_divergence(value: float) -> None:
    broken = [*HEALTHY.train[:7], value, *HEALTHY.train[8:]]

    assert judge_trial(replace(HEALTHY, train=broken), STUDY).because == "not finite at epoch 7"
    assert judge_trial(replace(HEALTHY, validation=broken), STUDY).verdict == "diverged"


@pytest.mark.parametrize("reason", ["train_loss is nan at epoch 0", "validation_loss is inf at epoch 3", "f1 is -inf"])
def test_a_failure_for_such_a_value_is_divergence_too(reason: str) -> None:
    assert judge_trial(EMPTY, None, reason).because == reason
    assert judge_trial(EMPTY, None, reason).verdict == "diverged"
    assert judge_trial(HEALTHY, STUDY, "out of memory: this is information").verdict == "healthy"


def test_a_trial_that_still_gets_better_is_not_overfitting_whatever_its_gap() -> None:
    steep = pair(rising(0.3, 1.0), [0.3 + 0.01 * epoch for epoch in range(20)])

    found = judge_trial(steep, None)

    assert (found.verdict, found.because) == ("healthy", "still getting better at its end")
    assert found.figures is not None
    assert found.figures.gap > 0.3


def test_noise_is_no_fall() -> None:
    noise = [0.02, -0.02, 0.01, -0.015, 0.02, -0.01, 0.015, -0.02, 0.0, -0.01] * 2
    flat = pair(rising(0.8, 0.86), [0.85 + one for one in noise])

    assert judge_trial(flat, None).verdict == "healthy"


def test_a_fall_that_training_shares_is_not_overfitting() -> None:
    both = [0.5, 0.7, 0.8, 0.85, 0.82, 0.78, 0.75, 0.72]

    assert judge_trial(pair(both, [value - 0.01 for value in both]), None).verdict == "healthy"


def test_a_pruned_trial_is_measured_by_what_others_had_at_its_last_epoch() -> None:
    begun = pair(HEALTHY.train[:4], HEALTHY.validation[:4])
    slow = pair([0.25, 0.26, 0.27, 0.28], [0.25, 0.25, 0.26, 0.26])

    assert judge_trial(begun, STUDY).verdict == "healthy"
    assert judge_trial(slow, STUDY).verdict == "underfitting"


def test_a_loss_is_judged_as_its_mirror_image() -> None:
    metric_pair = MetricPair("train_loss", "validation_loss", -1)
    rows = zip(FALLING.train, FALLING.validation, strict=True)
    losses = curve_pair(
        [(step, {"train_loss": 1 - train, "validation_loss": 1 - value}) for step, (train, value) in enumerate(rows)],
        metric_pair,
    )

    assert judge_trial(losses, None).because == judge_trial(FALLING, None).because


def test_epochs_that_lack_one_of_the_values_do_not_count() -> None:
    reports = [(0, {"train_f1": 0.5}), (1, {"train_f1": 0.6, "validation_f1": 0.5}), (2, {"validation_f1": 0.5})]

    assert curve_pair(reports, MetricPair("train_f1", "validation_f1", 1)) == CurvePair([1], [0.6], [0.5], 1)


BOTH = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]


@pytest.mark.parametrize(
    ("metric", "direction", "reported", "metric_pair"),
    [
        ("validation_accuracy", "maximize", BOTH, ("train_accuracy", "validation_accuracy", 1)),
        ("validation_loss", "minimize", BOTH, ("train_loss", "validation_loss", -1)),
        ("validation_f1", "maximize", ["train_f1", "validation_f1", *BOTH], ("train_f1", "validation_f1", 1)),
        ("validation_f1", "maximize", ["validation_f1", *BOTH], ("train_loss", "validation_loss", -1)),
        ("n_parameters", "minimize", BOTH[:1] + BOTH[1:2] + BOTH[3:], ("train_accuracy", "validation_accuracy", 1)),
        ("validation_accuracy", "maximize", [], ("train_accuracy", "validation_accuracy", 1)),
    ],
)
def test_the_objectives_own_metric_is_watched_if_it_has_both_curves(
    metric: str, direction: Literal["maximize", "minimize"], reported: list[str], metric_pair: tuple[str, str, int]
) -> None:
    definition = Definition.model_validate(
        {
            "name": "x",
            "search_space": {"dropout": {"type": "float", "low": 0.0, "high": 0.5}},
            "training": {"dataset": "digits", "model": "mlp"},
            "n_trials": 1,
        }
    )
    objective = Objective(metric=metric, direction=direction)

    assert choose_metric_pair(definition.model_copy(update={"objectives": [objective]}), reported) == metric_pair


@PATIENT
@given(any_pair, st.lists(any_pair, max_size=4))
def test_any_curves_get_a_verdict_and_finite_figures(curves: CurvePair, others: list[CurvePair]) -> None:
    found = judge_trial(curves, StudyBaseline.of([curves, *others]))

    assert (found.verdict == "unclear") == (len(curves.steps) < 3 and curves.broken_at is None)
    if found.figures is not None:
        figures = (found.figures.gap, found.figures.gap_growth, found.figures.tolerance, found.figures.gap_slope)
        assert all(value is None or math.isfinite(value) for value in figures)


@PATIENT
@given(finite_pair, st.lists(finite_pair, max_size=3), st.integers(-20, 20))
def test_the_unit_of_a_metric_does_not_matter(curves: CurvePair, others: list[CurvePair], power: int) -> None:
    def scaled(one: CurvePair) -> CurvePair:
        return pair([value * 2.0**power for value in one.train], [value * 2.0**power for value in one.validation])

    before = judge_trial(curves, StudyBaseline.of([curves, *others]))
    after = judge_trial(scaled(curves), StudyBaseline.of([scaled(one) for one in (curves, *others)]))

    assert after.verdict == before.verdict


@PATIENT
@given(finite_pair)
def test_a_trial_alone_is_never_underfitting(curves: CurvePair) -> None:
    assert judge_trial(curves, StudyBaseline.of([curves])).verdict != "underfitting"
