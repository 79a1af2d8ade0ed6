"""Private parts of Optuna's studies, trials and pruners, and the names of its system attributes."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from optuna import Study
from optuna.pruners import HyperbandPruner, _filter_study
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX as DEFAULT_STUDY_NAME_PREFIX
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy as FrozenStudy
from optuna.study.study import _SYSTEM_ATTR_METRIC_NAMES
from optuna.trial import FrozenTrial, Trial

METRIC_NAMES_ATTR = _SYSTEM_ATTR_METRIC_NAMES
"""System attribute of a study: the metric of each objective, in order."""

FIXED_PARAMS_ATTR = "fixed_params"
"""System attribute of an enqueued trial: the parameters it was enqueued with, by name."""

RUNG_ATTR_PREFIX = "completed_rung_"
"""Followed by a rung's number from 0: the value that a trial had at this rung."""

CONSTRAINT_ATTR_PREFIX = "constraints:"
"""Followed by a constraint's name: its value, which violates the constraint when it is above 0."""

trial_id_of: Callable[[FrozenTrial | Trial], int] = attrgetter("_trial_id")
"""The id of a trial in its storage."""

study_id_of: Callable[[Study | FrozenStudy], int] = attrgetter("_study_id")
"""The id of a study in its storage."""

storage_of: Callable[[Study], BaseStorage] = attrgetter("_storage")
"""The storage that a study reads and writes."""


def copy_study(
    study_id: int, name: str, directions: Sequence[StudyDirection], trials: Iterable[FrozenTrial]
) -> InMemoryStorage:
    """A storage of Optuna with one study, which has this id. Its trials keep their ids."""
    storage = InMemoryStorage()
    storage._max_study_id = study_id - 1
    storage.create_new_study(directions, name)
    for trial in trials:
        storage._max_trial_id = trial._trial_id - 1
        storage.create_new_trial(study_id, trial)
    return storage


def set_trial_id(trial: FrozenTrial, trial_id: int) -> None:
    """Give a trial another id."""
    trial._trial_id = trial_id


def has_brackets(pruner: HyperbandPruner, study: Study) -> bool:
    """Whether a Hyperband pruner knows its brackets: not while `max_resource` is "auto" and no trial is complete."""
    if not pruner._pruners:
        pruner._try_initialization(study)
    return len(pruner._pruners) > 0


def count_brackets(pruner: HyperbandPruner, study: Study) -> int:
    """Number of brackets of a Hyperband pruner; 1 while it does not know them."""
    return len(pruner._pruners) if has_brackets(pruner, study) else 1


def bracket_of_trial(pruner: HyperbandPruner, study: Study, trial: FrozenTrial) -> int:
    """Bracket of a trial, from 0. Call `has_brackets` first."""
    return pruner._get_bracket_id(study, trial)


def filtered_study(study: Study, trial: FrozenTrial) -> Study:
    """The study as Optuna shows it to a trial's sampler: with Hyperband, only the trials of the trial's bracket."""
    return _filter_study(study, trial)
