"""Trials that failed for their own sake, which samplers that can be taught take for bad ones.

Optuna's samplers see no failed trial, so they suggest what runs out of memory or becomes nan again and again (Optuna's
issue 2864).
"""

import copy
from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from service.schemas.study.definition import Definition
from service.schemas.study.samplers import AnySampler, Tpe

OWN_FAILURE_ATTR = "narrows:failed_for_its_own_sake"
"""System attribute of a trial that failed because of its parameters or its code, and not because of its machine."""
FINISHED_WELL = (TrialState.COMPLETE, TrialState.PRUNED)


def mark_own_failure(storage: BaseStorage, trial_id: int) -> None:
    """Mark a trial that is about to fail for its own sake, unless another tool has ended it."""
    with suppress(UpdateFinishedTrialError):
        storage.set_trial_system_attr(trial_id, OWN_FAILURE_ATTR, True)


def learns_from_failures(definition: Definition, sampler: AnySampler, storage: BaseStorage, study_id: int) -> bool:
    """Whether a study's sampler should see its failed trials now.

    TPE can be taught: it takes a pruned trial without a report for the worst. Before its start-up trials have ended
    well it would sample around what failed, and of several objectives Optuna prunes no trial.
    """
    if not isinstance(sampler, Tpe) or len(definition.objectives) > 1:
        return False
    if storage.get_n_trials(study_id, TrialState.FAIL) == 0:
        return False
    return storage.get_n_trials(study_id, FINISHED_WELL) >= max(1, sampler.n_startup_trials)


def failed_as_pruned(trial: FrozenTrial) -> FrozenTrial:
    """A trial that failed for its own sake as one that was pruned before its first report; any other as it is."""
    if trial.state != TrialState.FAIL or OWN_FAILURE_ATTR not in trial.system_attrs:
        return trial
    seen = copy.copy(trial)
    seen.state, seen.values, seen.intermediate_values = TrialState.PRUNED, None, {}
    return seen
