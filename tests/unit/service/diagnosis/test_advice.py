from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from service.diagnosis.advice import NOTHING, advise
from service.diagnosis.curve_pair import CurvePair
from service.diagnosis.evidence import Evidence, JudgedTrial
from service.diagnosis.study_baseline import StudyBaseline
from service.diagnosis.verdicts import judge_trial
from service.schemas.study.definition import Definition
from tests.unit.service.diagnosis.curves import FALLING, HEALTHY, LOW, SHORT, WORSE, pair

LEARNING_RATE = {"type": "float", "low": 1e-5, "high": 1.0, "log": True}
WEIGHT_DECAY = {"type": "float", "low": 1e-8, "high": 1e-4, "log": True}
DROPOUT = {"type": "float", "low": 0.0, "high": 0.5}
HIDDEN = {"type": "int", "low": 8, "high": 256, "log": True}
IMPROVING = pair([0.3 + 0.03 * epoch for epoch in range(20)], [0.3 + 0.029 * epoch for epoch in range(20)])

Params = Callable[[int], dict[str, Any]]


def evidence(space: dict[str, Any], groups: list[tuple[int, CurvePair, Params]], **training: Any) -> Evidence:
    """A study of groups of trials: how many, their curves, and their parameters by number; ranked in that order."""
    definition = Definition.model_validate(
        {
            "name": "x",
            "search_space": space,
            "training": {"dataset": "digits", "model": "mlp", **training},
            "n_trials": 100,
        }
    )
    baseline = StudyBaseline.of([HEALTHY, LOW])
    trials: list[JudgedTrial] = []
    for count, curves, params in groups:
        for index in range(count):
            number = len(trials)
            trials.append(
                JudgedTrial(number, params(index), judge_trial(curves, baseline), len(curves.steps), float(number))
            )
    return Evidence(definition, trials)


def messages(found: Evidence) -> dict[str | None, str]:
    return {advice.field: advice.message for advice in advise(found)}


def test_nothing_stands_out() -> None:
    found = evidence({"dropout": DROPOUT}, [(20, HEALTHY, lambda index: {"dropout": 0.02 * index + 0.05})])
    assert messages(found) == {None: NOTHING}


@pytest.mark.parametrize("count", [0, 4])
def test_few_trials_are_no_ground_for_advice(count: int) -> None:
    found = evidence({"dropout": DROPOUT}, [(count, FALLING, lambda _: {"dropout": 0.1})])
    assert messages(found) == {None: f"Trials that can be judged so far: {count}; advice needs 5."}


def test_divergence_at_high_learning_rates_lowers_their_bound() -> None:
    groups = [
        (20, HEALTHY, lambda index: {"learning_rate": 1e-3 * (1 + index)}),
        (5, WORSE, lambda index: {"learning_rate": 0.5}),
    ]
    assert messages(evidence({"learning_rate": LEARNING_RATE}, groups)) == {
        "search_space.learning_rate": "5 of 25 trials diverged, at the upper end of learning_rate: lower its "
        "high bound (now 1); none of the best trials is above 0.003"
    }


def test_divergence_at_any_learning_rate_asks_for_clipping_and_a_fixed_one_is_lowered() -> None:
    anywhere = [(10, curves, lambda index: {"learning_rate": 10.0**-index / 2}) for curves in (HEALTHY, WORSE)]
    fixed = [(10, curves, lambda index: {"dropout": 0.05 * index}) for curves in (HEALTHY, WORSE)]
    space = {"learning_rate": {**LEARNING_RATE, "low": 1e-12}}

    assert messages(evidence(space, anywhere))["training.gradient_clip"] == (
        "10 of 20 trials diverged, at any learning_rate: set gradient_clip to 1"
    )
    assert messages(evidence({"dropout": DROPOUT}, fixed, learning_rate=0.5))["training.learning_rate"] == (
        "10 of 20 trials diverged: lower learning_rate (now 0.5)"
    )


def test_overfitting_asks_for_more_of_the_regularizers_that_help() -> None:
    groups = [
        (10, HEALTHY, lambda index: {"weight_decay": 5e-5, "dropout": 0.2, "learning_rate": 0.01}),
        (10, FALLING, lambda index: {"weight_decay": 1e-7, "dropout": 0.2, "learning_rate": 0.01}),
    ]
    space = {"weight_decay": WEIGHT_DECAY, "dropout": DROPOUT, "learning_rate": LEARNING_RATE}
    said = messages(evidence(space, groups))

    assert said["search_space.weight_decay"] == (
        "10 of 20 trials overfit: raise the bounds of weight_decay (now 1e-08 to 0.0001) and dropout (now 0 to 0.5)"
    )
    assert "early_stopping" in said["training.early_stopping"]
    assert "search_space" not in said


def test_overfitting_without_regularizers_asks_to_search_them() -> None:
    groups = [(10, FALLING, lambda index: {"learning_rate": 0.01})]
    found = evidence({"learning_rate": LEARNING_RATE}, groups, early_stopping={"patience": 3})
    assert messages(found) == {
        "search_space": "10 of 10 trials overfit: search weight_decay and dropout, which no trial varies"
    }


def test_an_own_model_that_overfits_is_to_have_its_own_dropout_searched() -> None:
    model = {"model": {"entrypoint": "nets:build"}, "early_stopping": {"patience": 3}}
    space = {"weight_decay": WEIGHT_DECAY, "model.arguments.width": HIDDEN}
    groups = [(10, FALLING, lambda index: {"weight_decay": 1e-7, "model.arguments.width": 64})]
    said = messages(evidence(space, groups, **model))["search_space"]
    assert said == "10 of 10 trials overfit: also search model.dropout, which no trial varies"


def test_the_dropout_of_an_own_model_is_no_size_of_it() -> None:
    space = {"model.dropout": DROPOUT, "model.arguments.width": HIDDEN}
    params = {"model.dropout": 0.2, "model.arguments.width": 64}
    groups = [(10, curves, lambda index: params) for curves in (HEALTHY, LOW)]
    assert messages(evidence(space, groups, model={"entrypoint": "nets:build"})) == {
        "search_space.model.arguments.width": "10 of 20 trials underfit: raise the high bounds of model.arguments.width"
    }


def test_underfitting_names_the_end_at_which_it_is() -> None:
    groups = [
        (10, HEALTHY, lambda index: {"learning_rate": 0.01, "dropout": 0.1}),
        (10, LOW, lambda index: {"learning_rate": 3e-5, "dropout": 0.45}),
    ]
    said = messages(evidence({"learning_rate": LEARNING_RATE, "dropout": DROPOUT}, groups))
    assert said == {
        "search_space.learning_rate": "10 of 20 trials underfit, at the lower end of learning_rate: "
        "raise its low bound (now 1e-05); none of the best trials is below 0.01",
        "search_space.dropout": "10 of 20 trials underfit, at the upper end of dropout: lower its high bound (now 0.5)"
        "; none of the best trials is above 0.1",
    }


@pytest.mark.parametrize(
    ("space", "advice"),
    [
        ({"dropout": DROPOUT}, ("training.model", "try a larger model")),
        (
            {"dropout": DROPOUT, "model.hidden.0": HIDDEN},
            ("search_space.model.hidden.0", "raise the high bounds of model.hidden.0"),
        ),
    ],
)
def test_underfitting_anywhere_asks_for_a_larger_model(space: dict[str, Any], advice: tuple[str, str]) -> None:
    params = {"dropout": 0.2, "model.hidden.0": 64}
    groups = [(10, curves, lambda index: {name: params[name] for name in space}) for curves in (HEALTHY, LOW)]
    assert messages(evidence(space, groups)) == {advice[0]: f"10 of 20 trials underfit: {advice[1]}"}


def test_best_trials_that_still_get_better_ask_for_epochs() -> None:
    groups = [(12, IMPROVING, lambda index: {"dropout": 0.02 * index + 0.1})]
    assert messages(evidence({"dropout": DROPOUT}, groups, epochs=20)) == {
        "training.epochs": "3 of the best 3 trials still got better when they ended: raise epochs (now 20)"
    }


@pytest.mark.parametrize(
    ("name", "parameter", "value", "message"),
    [
        (
            "weight_decay",
            WEIGHT_DECAY,
            9.5e-5,
            "the best 3 trials have weight_decay at its high bound (0.0001): raise it",
        ),
        (
            "weight_decay",
            WEIGHT_DECAY,
            1.1e-8,
            "the best 3 trials have weight_decay at its low bound (1e-08): lower it",
        ),
        ("model.hidden.0", HIDDEN, 256, "the best 3 trials have model.hidden.0 at its high bound (256): raise it"),
        ("dropout", DROPOUT, 0.0, NOTHING),  # there is no less
        ("dropout", {**DROPOUT, "high": 0.9}, 0.9, NOTHING),
        ("weight_decay", WEIGHT_DECAY, 1e-6, NOTHING),
    ],
)
def test_a_best_value_at_an_edge_widens_the_range(name: str, parameter: Any, value: float, message: str) -> None:
    found = evidence({name: parameter}, [(12, HEALTHY, lambda _: {name: value})])
    assert list(messages(found).values()) == [message]


def test_trials_that_are_pruned_too_soon_to_be_judged_are_named() -> None:
    found = evidence({"dropout": DROPOUT}, [(8, SHORT, lambda index: {"dropout": 0.1})])
    pruned = Evidence(found.definition, (replace(trial, rank=None, is_pruned=True) for trial in found.trials))
    assert messages(pruned) == {
        "pruner": "8 of 8 trials ended within 2 epochs, too soon to be judged: let them go on for longer before they "
        "are pruned (min_resource)"
    }


def test_conditional_and_foreign_parameters_are_no_ground_for_advice() -> None:
    groups = [
        (10, FALLING, lambda index: {"weight_decay": 7.0 if index % 2 else None}),
        (10, HEALTHY, lambda index: {}),
    ]
    said = messages(evidence({"weight_decay": WEIGHT_DECAY}, groups))
    assert set(said) == {"search_space.weight_decay", "search_space", "training.early_stopping"}


def test_a_regularizer_that_is_searched_by_choices_is_varied() -> None:
    space = {"dropout": {"type": "categorical", "choices": [0.0, 0.2]}, "learning_rate": LEARNING_RATE}
    found = evidence(space, [(20, FALLING, lambda index: {"dropout": 0.2, "learning_rate": 1e-3})])
    assert messages(found)["search_space"] == "20 of 20 trials overfit: search weight_decay, which no trial varies"


def test_divergence_with_choices_of_the_learning_rate_speaks_of_these() -> None:
    space = {"learning_rate": {"type": "categorical", "choices": [0.1, 10.0]}}
    found = evidence(space, [(20, WORSE, lambda index: {"learning_rate": 10.0})])
    message = "20 of 20 trials diverged: lower the choices of learning_rate (now 0.1, 10.0)"
    assert messages(found)["search_space.learning_rate"] == message


@pytest.mark.parametrize(
    ("training", "space", "field", "change"),
    [
        ({}, {}, "training.gradient_clip", "set gradient_clip to 1"),
        ({"gradient_clip": 1.0}, {}, "training.gradient_clip", "lower gradient_clip (now 1)"),
        (
            {},
            {"gradient_clip": {"type": "float", "low": 0.1, "high": 9.0}},
            "search_space.gradient_clip",
            "search smaller values of gradient_clip",
        ),
    ],
)
def test_divergence_at_any_learning_rate_clips_gradients(
    training: dict[str, Any], space: dict[str, Any], field: str, change: str
) -> None:
    groups = [(20, curves, lambda index: {"learning_rate": 1e-3 * (1 + index)}) for curves in (HEALTHY, WORSE)]
    found = evidence({"learning_rate": LEARNING_RATE, **space}, groups, **training)
    assert messages(found)[field] == f"20 of 40 trials diverged, at any learning_rate: {change}"


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("batch_size", {"type": "int", "low": 1, "high": 64, "log": True}, 1),
        ("momentum", {"type": "float", "low": 0.5, "high": 0.99}, 0.99),
        ("batch_size", {"type": "int", "low": 1, "high": 64, "step": 7}, 1),
    ],
)
def test_a_bound_that_cannot_be_moved_is_none_to_move(name: str, parameter: dict[str, Any], value: float) -> None:
    found = evidence({name: parameter}, [(20, HEALTHY, lambda _: {name: value})], optimizer="sgd")
    assert messages(found) == {None: NOTHING}


def test_trials_that_are_short_by_their_epochs_need_more_of_them() -> None:
    found = evidence({"dropout": DROPOUT}, [(20, SHORT, lambda _: {"dropout": 0.1})], epochs=2)
    said = "20 of 20 trials ended within 2 epochs, too soon to be judged"
    assert messages(found) == {"training.epochs": f"{said}: raise epochs (now 2)"}


def test_epochs_that_are_searched_too_low_are_raised_there() -> None:
    space = {"epochs": {"type": "int", "low": 1, "high": 20}}
    found = evidence(space, [(20, SHORT, lambda _: {"epochs": 2})])
    said = "20 of 20 trials ended within 2 epochs, too soon to be judged"
    assert messages(found) == {"search_space.epochs": f"{said}: raise the low bound of epochs (now 1)"}


def test_trials_that_run_or_failed_are_not_short() -> None:
    found = evidence({"dropout": DROPOUT}, [(8, SHORT, lambda _: {"dropout": 0.1})])
    running = Evidence(found.definition, (replace(trial, rank=None) for trial in found.trials))
    assert messages(running) == {None: "Trials that can be judged so far: 0; advice needs 5."}


def test_trials_that_stop_too_early_have_a_longer_patience() -> None:
    found = evidence({"dropout": DROPOUT}, [(8, SHORT, lambda _: {"dropout": 0.1})], early_stopping={"patience": 1})
    said = "8 of 8 trials ended within 2 epochs, too soon to be judged"
    assert messages(found) == {"training.early_stopping": f"{said}: raise early_stopping.patience"}
