"""A search whose trainings are looked up: how many epochs it takes to be as good as a target."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from benchmarks.recorded.table import Table

N_WORKERS = 4
"""Trials that train at the same time, an epoch each in turn."""

MakeSampler = Callable[[int], BaseSampler]


@dataclass(frozen=True)
class Searched:
    """`epochs` trained by all trials, those in flight too, when a complete trial was as good; None when the budget was
    spent before. `best` is the best value of a complete trial at that moment."""

    epochs: int | None
    best: float


@dataclass
class _Running:
    trial: Trial
    curve: list[float]
    step: int = 0


def search(table: Table, sampler: BaseSampler, pruner: BasePruner, target: float, budget: int) -> Searched:
    """Ask, report and prune as the service does, until a complete trial reaches `target`, or `budget` epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    running: list[_Running] = []
    spent, best = 0, -math.inf
    while spent < budget:
        if len(running) < N_WORKERS:
            running.append(_begin(study, table))
            continue
        one = running.pop(0)
        value = one.curve[one.step]
        spent += 1
        if math.isnan(value):
            study.tell(one.trial, state=TrialState.FAIL)
            continue
        one.trial.report(value, one.step)
        one.step += 1
        if one.step == len(one.curve):
            study.tell(one.trial, value)
            best = max(best, value)
            if value >= target:
                return Searched(spent, best)
        elif one.trial.should_prune():
            study.tell(one.trial, state=TrialState.PRUNED)
        else:
            running.append(one)
    return Searched(None, best)


def _begin(study: optuna.Study, table: Table) -> _Running:
    trial = study.ask()
    params: dict[str, Any] = {
        name: trial.suggest_float(name, field["low"], field["high"], log=field.get("log", False))
        for name, field in table.space.items()
    }
    return _Running(trial, table.curve(params))
