"""An Optuna study in memory, made of what the API tells: for Optuna's own plots and analyses."""

import math
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from service.constraints import PREFIX
from service.schemas.fields import Scalar
from service.schemas.results import Curves, Study, Trial
from service.schemas.search_space import Choices, Distribution, FloatRange, Parameter

FIXED = "fixed_params"
"""Optuna's name for the attribute of what a trial was enqueued with."""


def optuna_study(study: Study, trials: Iterable[Trial], curves: Mapping[int, Curves]) -> optuna.Study:
    """A copy of a study and its trials; intermediate values are of the trials with curves.

    What is done to it changes nothing in the service. Parameters that are not of the search space are left out.
    """
    storage = InMemoryStorage()
    objectives = study.definition.objectives
    made = optuna.create_study(
        study_name=study.name, storage=storage, directions=[objective.direction for objective in objectives]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made.set_metric_names([objective.metric for objective in objectives])
    for trial in sorted(trials, key=lambda trial: trial.number):
        made.add_trial(frozen_trial(study, trial, curves.get(trial.number)))
    return made


def frozen_trial(study: Study, trial: Trial, curves: Curves | None) -> FrozenTrial:
    """One trial as Optuna has it."""
    state = TrialState[trial.state]
    params = {} if state == TrialState.WAITING else known_params(study.definition.search_space, trial.params)
    is_finished = state.is_finished()
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=None,
        values=trial.values if state == TrialState.COMPLETE else None,
        datetime_start=None if state == TrialState.WAITING else _local(trial.started_at or study.created_at),
        datetime_complete=_local(trial.finished_at or trial.started_at or study.created_at) if is_finished else None,
        params=params,
        distributions={name: distribution(study.definition.search_space[name]) for name in params},
        user_attrs=dict(trial.metrics),
        system_attrs={
            **({FIXED: trial.params} if state == TrialState.WAITING else {}),
            **{f"{PREFIX}{name}": value for name, value in trial.constraints.items()},
        },
        intermediate_values=_intermediate_values(study, curves),
    )


def known_params(space: Mapping[str, Parameter], params: Mapping[str, Scalar]) -> dict[str, Any]:
    """Those parameters that a search space has, with values that it has."""
    return {name: value for name, value in params.items() if name in space and space[name].contains(value)}


def distribution(parameter: Distribution) -> BaseDistribution:
    """A parameter of a definition as Optuna has it."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, FloatRange):
        return FloatDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step)
    return IntDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step or 1)


def _intermediate_values(study: Study, curves: Curves | None) -> dict[int, float]:
    if curves is None or len(study.definition.objectives) > 1:
        return {}
    values = curves.metrics.get(study.definition.objectives[0].metric, [])
    pairs = zip(curves.steps, values, strict=False)
    return {step: value for step, value in pairs if value is not None and not math.isnan(value)}


def _local(moment: datetime) -> datetime:
    """Optuna keeps local times without a zone."""
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone().replace(tzinfo=None)
