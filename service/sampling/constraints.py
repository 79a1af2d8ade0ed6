"""Which trials satisfy their constraints. As in Optuna 5, a constraint is an attribute of the trial, violated above 0.

Optuna's samplers read these attributes: TPE, GP, NSGA-II and NSGA-III learn from them. A complete trial has a value for
every constraint of the definition. A trial without a value does not violate a constraint that code sets, as in Optuna.
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
    """Whether a trial violates no constraint."""
    return not violated(trial)


def violated(trial: FrozenTrial) -> list[str]:
    """The names of the constraints that a trial violates."""
    if not trial.system_attrs:  # true of most trials, and this is called for all trials of a study
        return []
    return [name for name, value in trial.constraints.items() if value > 0]


def why_unknown(constraints: Iterable[Constraint], metrics: Mapping[str, float]) -> str | None:
    """Why it is unknown whether a trial satisfies its constraints: a metric is missing or nan. None if it is known."""
    for one in constraints:
        if one.metric not in metrics:
            return f"{one.metric} has a constraint and must be reported or returned: it was not"
        if math.isnan(metrics[one.metric]):
            return f"{one.metric} is nan"
    return None


def constraint_values(constraints: Iterable[Constraint], metrics: Mapping[str, float]) -> dict[str, float]:
    """The values of all constraints that these metrics determine, by name."""
    found: dict[str, float] = {}
    for one in constraints:
        value = metrics.get(one.metric, math.nan)
        found |= {} if math.isnan(value) else one.constraint_values(value)
    return found


def save_values(storage: BaseStorage, trial_id: int, values: Mapping[str, float]) -> None:
    """Save the constraint values of a trial, unless another tool has ended the trial."""
    with suppress(UpdateFinishedTrialError):
        for name in sorted(values):  # the same order for all trials, because the GP sampler compares values by position
            storage.set_trial_system_attr(trial_id, f"{CONSTRAINT_ATTR_PREFIX}{name}", values[name])


def why_none(trials: Sequence[FrozenTrial]) -> str | None:
    """Why there is no best one among complete trials. None if there are no trials, or one is feasible."""
    if not trials or any(map(is_feasible, trials)):
        return None
    return f"none of {len(trials)} complete trials satisfies every constraint"


def constraint_names(definition: Definition) -> set[str]:
    """The names of all constraint values of a definition."""
    return {name for one in definition.constraints for name in one.constraint_values(0.0)}
