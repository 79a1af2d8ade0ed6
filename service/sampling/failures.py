"""Trials that failed because of their parameters or their code. TPE learns from them that these parameters are bad.

Optuna's samplers see no failed trial, so they suggest what runs out of memory or becomes nan again and again (Optuna's
issue 2864).
"""

import copy
import math
from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from service.schemas.study.samplers import AnySampler, Tpe
from storage import CONSTRAINT_ATTR_PREFIX

OWN_FAILURE_ATTR = "narrows:failed_for_its_own_sake"
"""System attribute of a trial that failed because of its parameters or its code, and not because of its machine."""
FINISHED_WELL = (TrialState.COMPLETE, TrialState.PRUNED)


def mark_own_failure(storage: BaseStorage, trial_id: int) -> None:
    """Mark a trial that is about to fail because of its parameters or its code, unless another tool has ended it."""
    with suppress(UpdateFinishedTrialError):
        storage.set_trial_system_attr(trial_id, OWN_FAILURE_ATTR, True)


def learns_from_failures(sampler: AnySampler, storage: BaseStorage, study_id: int) -> bool:
    """Whether a study's sampler should see its failed trials now.

    Only TPE can learn from them: it ranks a trial last whose constraints are violated by any amount. Before its
    start-up trials have ended well, it would sample around the failed ones.
    """
    if not isinstance(sampler, Tpe):
        return False
    if storage.get_n_trials(study_id, TrialState.FAIL) == 0:
        return False
    return storage.get_n_trials(study_id, FINISHED_WELL) >= max(1, sampler.n_startup_trials)


def failed_as_infeasible(trial: FrozenTrial) -> FrozenTrial:
    """A trial marked by `mark_own_failure` as one that violates a constraint without limit; any other as it is.

    It is shown as pruned, because a complete trial has objective values. TPE ranks violations before it asks for them.
    """
    if trial.state != TrialState.FAIL or OWN_FAILURE_ATTR not in trial.system_attrs:
        return trial
    seen = copy.copy(trial)
    seen.state, seen.values, seen.intermediate_values = TrialState.PRUNED, None, {}
    seen.system_attrs = {**trial.system_attrs, f"{CONSTRAINT_ATTR_PREFIX}{OWN_FAILURE_ATTR}": math.inf}
    return seen
