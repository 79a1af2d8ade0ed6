"""Which trials keep their constraints. As in Optuna 5 each is an attribute of the trial: above 0 it is violated.

Optuna's samplers read these attributes themselves (TPE, GP, NSGA-II and NSGA-III learn from them). A complete trial has
a value of each of the definition's. A constraint that code sets is not violated by a trial without it, as in Optuna.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from service.schemas.study.constraints import Constraint
from service.schemas.study.definition import Definition
from storage import CONSTRAINT_ATTR_PREFIX


def is_feasible(trial: FrozenTrial) -> bool:
    return not violated(trial)


def violated(trial: FrozenTrial) -> list[str]:
    """The names of the constraints that a trial violates."""
    if not trial.system_attrs:  # of most trials: this is asked of all trials of a study
        return []
    return [name for name, value in trial.constraints.items() if value > 0]


def why_unknown(constraints: Iterable[Constraint], metrics: Mapping[str, float]) -> str | None:
    """Why nobody can tell whether a complete trial keeps them: a metric is missing or nan. None when it can be told."""
    for one in constraints:
        if one.metric not in metrics:
            return f"{one.metric} has a constraint and must be reported or returned: it was not"
        if math.isnan(metrics[one.metric]):
            return f"{one.metric} is nan"
    return None


def distances(constraints: Iterable[Constraint], metrics: Mapping[str, float]) -> dict[str, float]:
    """The values of all constraints that can be told from these metrics, by name."""
    found: dict[str, float] = {}
    for one in constraints:
        value = metrics.get(one.metric, math.nan)
        found |= {} if math.isnan(value) else one.distances(value)
    return found


def keep(storage: BaseStorage, trial_id: int, values: Mapping[str, float]) -> None:
    """Write constraint values down with a trial that has not ended, unless another tool has ended it."""
    with suppress(UpdateFinishedTrialError):
        for name in sorted(values):  # one order for all trials: the GP sampler goes by places
            storage.set_trial_system_attr(trial_id, f"{CONSTRAINT_ATTR_PREFIX}{name}", values[name])


def why_none(trials: Sequence[FrozenTrial]) -> str | None:
    """Why there is no best one among complete trials; None when there are none, or one is feasible."""
    if not trials or any(map(is_feasible, trials)):
        return None
    return f"none of {len(trials)} complete trials satisfies every constraint"


def constraint_names(definition: Definition) -> set[str]:
    """The names that the values of a definition's constraints have."""
    return {name for one in definition.constraints for name in one.distances(0.0)}
