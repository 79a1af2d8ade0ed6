"""Which trials from elsewhere a study's sampler can learn from.

One does whose parameters are exactly those that the search space has beside their values (an entrypoint may have asked
for more), each of the same type and on the same scale, with a value that the search space contains. Ranges and choices
may be others. It is then seen with the search space's own distributions. A complete one must have a value of each of
the definition's constraints, as some samplers cannot do without. With several objectives it must be complete: Optuna
prunes no trial then, and TPE fails on what one has reported.
"""

from collections.abc import Mapping
from typing import Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from service.schemas.imports import ImportedTrial
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import Choices, Distribution, FloatRange, IntRange, is_active

NAMES: dict[TrialState, Any] = {state: state.name for state in TrialState}

Reason = Literal["state", "names", "distributions", "values", "constraints"]


def why_not(definition: Definition, trial: ImportedTrial, distributions: Mapping[str, Distribution]) -> Reason | None:
    """Why a trial is left out, or None; `distributions` are its own, as far as they are known."""
    space, params = definition.search_space, trial.params
    if trial.state != "COMPLETE" and (trial.state != "PRUNED" or len(definition.objectives) > 1):
        return "state"
    active = {name for name, parameter in space.items() if is_active(parameter, params)}
    others = params.keys() - active
    if active - params.keys() or (others and not definition.is_user_code) or others & space.keys():
        return "names"
    if any(name in distributions and not _is_alike(distributions[name], space[name]) for name in active):
        return "distributions"
    known = {**distributions, **space}
    if any(not known[name].contains(value) for name, value in params.items()):
        return "values"
    if trial.state == "COMPLETE" and not constraint_names(definition) <= trial.constraints.keys():
        return "constraints"
    return None


def constraint_names(definition: Definition) -> set[str]:
    """The names that the values of a definition's constraints have."""
    return {name for one in definition.constraints for name in one.distances(0.0)}


def _is_alike(theirs: Distribution, ours: Distribution) -> bool:
    if theirs.type != ours.type:
        return False
    return isinstance(theirs, Choices) or isinstance(ours, Choices) or theirs.log == ours.log


def imported(trial: FrozenTrial) -> ImportedTrial:
    """What a sampler learns of an Optuna trial; its values are not checked."""
    is_pruned = trial.state == TrialState.PRUNED and trial.last_step is not None
    return ImportedTrial.model_construct(
        state=NAMES[trial.state],
        params=trial.params,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        constraints=trial.constraints,
        last_step=trial.last_step if is_pruned else None,
        last_value=trial.intermediate_values[trial.last_step or 0] if is_pruned else None,
    )


def described(found: BaseDistribution) -> Distribution:
    """An Optuna distribution in the words of a definition; its bounds are not checked."""
    if isinstance(found, CategoricalDistribution):
        return Choices.model_construct(type="categorical", choices=list(found.choices))
    if isinstance(found, FloatDistribution):
        return FloatRange.model_construct(type="float", low=found.low, high=found.high, log=found.log, step=found.step)
    low, high, log, step = (getattr(found, name) for name in ("low", "high", "log", "step"))
    return IntRange.model_construct(type="int", low=low, high=high, log=log, step=None if step == 1 else step)
