"""Studies and trials as the API tells of them, with curves and a diagnosis, by formula."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import distribution_to_json

from narrows.html_report.gather import N_BEST, Gathered
from narrows.html_report.weights import Histogram
from service.client.optuna_copy import read, read_only_study
from service.schemas.diagnosis import Diagnosis
from service.schemas.optuna import OptunaStudy, OptunaTrial, distribution
from service.schemas.results import Curves, Importances, Study, Trial

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-4, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
}
PAIR = ("train_accuracy", "validation_accuracy")
TWO_OBJECTIVES = [
    {"metric": "validation_accuracy", "direction": "maximize"},
    {"metric": "n_parameters", "direction": "minimize"},
]


def study(space: Mapping[str, Any] = SPACE, **changes: Any) -> Study:
    definition = {
        "name": "digits",
        "search_space": space,
        "training": {"dataset": "digits", "model": "mlp"},
        "n_trials": 500,
        **changes,
    }
    times = {"created_at": "2026-01-02T03:04:05Z", "started_at": "2026-01-02T03:04:05Z", "finished_at": None}
    told: dict[str, Any] = {
        "state": "running",
        "best": None,
        "finished_reason": None,
        "trials_per_hour": 100.0,
        "trial_counts": {},
    }
    return Study.model_validate({"name": "digits", "definition": definition, **times, **told})


def params_of(number: int) -> dict[str, Any]:
    params = {
        "learning_rate": 10 ** (-5 + 4 * (number * 7 % 10) / 10),
        "weight_decay": 10 ** (-8 + 4 * (number * 3 % 10) / 10),
        "dropout": 0.05 * (number % 10),
        "optimizer": ["sgd", "adam"][number % 2],
    }
    return params | ({"momentum": 0.09 * (number % 10)} if number % 2 == 0 else {})


def trial(number: int, **changes: Any) -> Trial:
    return Trial.model_validate(
        {
            "study": "digits",
            "number": number,
            "state": "COMPLETE",
            "params": params_of(number),
            "values": [0.9 - 0.001 * number],
            "metrics": {"n_near_zero_weights": 10.0 * number, "n_parameters": 1000.0},
            "step": 5,
            "attempts": [],
            "reason": None,
            "worker": "host/1/cpu",
            "started_at": f"2026-01-02T03:{number // 60 % 60:02}:{number % 60:02}Z",
            "finished_at": f"2026-01-02T04:{number // 60 % 60:02}:{number % 60:02}Z",
            "duration_seconds": 3600.0,
            **changes,
        }
    )


def unfinished(number: int, state: str) -> Trial:
    values = {"state": state, "values": None, "finished_at": None, "duration_seconds": None}
    return trial(number, **values, **({"started_at": None, "step": None} if state == "WAITING" else {}))


def curves(number: int) -> Curves:
    values = [0.5 + 0.4 * (1 - math.exp(-step)) - 0.001 * number for step in range(6)]
    metrics = {"validation_accuracy": values, "train_accuracy": [value + 0.05 for value in values]}
    return Curves(steps=list(range(6)), metrics=dict(metrics))


def diagnosis(trials: Sequence[Trial], verdict: str = "healthy") -> Diagnosis:
    return Diagnosis.model_validate(
        {
            "study": "digits",
            "train_metric": PAIR[0],
            "validation_metric": PAIR[1],
            "counts": {verdict: len(trials)},
            "advice": [{"field": None, "message": "raise <b> of weight_decay"}],
            "trials": [
                {
                    "number": one.number,
                    "state": one.state,
                    "verdict": verdict,
                    "because": "it is <so>",
                    "n_epochs": 6,
                    "best_epoch": 5,
                    "best_validation": 0.9,
                    "train": 0.95,
                    "validation": 0.9,
                    "gap": 0.05,
                    "gap_slope": 0.0,
                    "fall": 0.0,
                    "tolerance": 0.01,
                    "improving": False,
                }
                for one in trials
            ],
            "n_left_out": 0,
        }
    )


def exported(study: Study, trials: Sequence[Trial], curves: Mapping[int, Curves]) -> bytes:
    """The study with these trials in the words of an export, without the parameters that it does not have."""
    objectives = study.definition.objectives
    head = OptunaStudy(
        study_name=study.name,
        directions=[one.direction for one in objectives],
        metric_names=[one.metric for one in objectives],
        user_attrs={},
    )
    lines = [head, *(_exported(study, one, curves.get(one.number)) for one in trials)]
    return b"".join(line.model_dump_json().encode() + b"\n" for line in lines)


def _exported(study: Study, one: Trial, curves: Curves | None) -> OptunaTrial:
    objectives, space = study.definition.objectives, study.definition.search_space
    params = {} if one.state == "WAITING" else {name: value for name, value in one.params.items() if name in space}
    reported = {} if curves is None or len(objectives) > 1 else curves.metrics[objectives[0].metric]
    return OptunaTrial.model_validate(
        {
            **one.model_dump(include={"number", "state", "values", "metrics", "user_attrs"}),
            "params": params,
            "distributions": {name: json.loads(distribution_to_json(distribution(space[name]))) for name in params},
            "intermediate_values": dict(enumerate(reported)),
            "system_attrs": {"fixed_params": one.params} if one.state == "WAITING" else {},
            "datetime_start": one.started_at,
            "datetime_complete": one.finished_at,
        }
    )


def as_optuna(study: Study, trials: Sequence[Trial], curves: Mapping[int, Curves]) -> optuna.Study:
    return read_only_study(*read([exported(study, trials, curves)]))


def gathered(
    trials: Sequence[Trial],
    space: Mapping[str, Any] = SPACE,
    *,
    weights: dict[int, Histogram] | None = None,
    n_curves: int | None = None,
    **definition: Any,
) -> Gathered:
    best = [one for one in trials if one.state == "COMPLETE"][:N_BEST]
    begun = [one for one in trials if one.state != "WAITING"]
    about, reported = study(space, **definition), {one.number: curves(one.number) for one in begun[:n_curves]}
    return Gathered(
        study=about,
        trials=trials,
        best=best,
        curves=reported,
        diagnosis=diagnosis(begun),
        as_optuna=as_optuna(about, trials, reported),
        weights=weights or {},
        importance=Importances(metric="validation_accuracy", importances=dict.fromkeys(space, 1 / max(1, len(space)))),
    )
