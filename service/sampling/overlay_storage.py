"""A storage with one more trial that is not saved yet, so that samplers can suggest its parameters."""

import copy
from collections.abc import Callable, Container, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from storage import FrozenStudy, GroupCommitStorage, set_trial_id, trial_id_of


class OverlayStorage(BaseStorage):
    """A snapshot of one study in a storage, with one more RUNNING trial.

    Its trials are the `imported` ones, then the study's own, then the `pending` ones. `trial` is the RUNNING trial: a
    copy of the `waiting` one in its place, or else a new one at the end. What is set on it stays in this object. Study
    attributes, in which some samplers count, are written to the storage. Nothing else can be changed.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study_id: int,
        pending: Sequence[FrozenTrial],
        waiting: FrozenTrial | None = None,
        *,
        imported: "ImportedTrials | None" = None,
        seen: Callable[[FrozenTrial], FrozenTrial] | None = None,
        prefix: str = "",
    ) -> None:
        """Take the snapshot.

        `seen` maps each trial to what the sampler sees of it. `prefix` is put before the names of the study's system
        attributes, so that samplers with different prefixes do not see each other's.
        """
        self._storage = storage
        self._study_id = study_id
        self._prefix = prefix
        own = [*storage.get_all_trials(study_id, deepcopy=False), *pending]
        trials = own if imported is None else [*imported.trials, *own]
        self._trials = trials if seen is None else [seen(trial) for trial in trials]
        self._n_imported = len(trials) - len(own)
        if imported is not None:
            self._trials[self._n_imported :] = map(imported.renumbered, self._trials[self._n_imported :])
        self._filtered: dict[frozenset[TrialState], list[FrozenTrial]] = {}
        if waiting is None:
            self.trial = _new_trial(len(self._trials))
            self._trials.append(self.trial)
        else:
            self.trial = copy.deepcopy(waiting)
            self.trial.state = TrialState.RUNNING
            self.trial.number += self._n_imported
            self._trials[self.trial.number] = self.trial

    def leave_out_unlike(self, name: str, distribution: BaseDistribution) -> None:
        """Hide the imported trials in which a parameter has an incompatible distribution: no sampler accepts both."""
        self._hide(lambda trial: not _is_like(trial.distributions.get(name), distribution))

    def leave_out_otherwise_constrained(self, first: Set[str]) -> None:
        """Hide the imported trials whose constraint names differ from those of the study's newest complete trial.

        Before there is a complete trial, `first` are the names to compare with. GP fails if some trials have
        constraints that others lack.
        """
        own = reversed(self._trials[self._n_imported :])
        complete = next((trial for trial in own if trial.state == TrialState.COMPLETE), None)
        names = first if complete is None else complete.constraints.keys()
        self._hide(lambda trial: trial.constraints.keys() != names)

    def _hide(self, is_hidden: Callable[[FrozenTrial], bool]) -> None:
        for trial in filter(is_hidden, self._trials[: self._n_imported]):
            self._trials[trial.number] = copy.copy(trial)
            self._trials[trial.number].state = TrialState.FAIL  # no sampler learns from a failed trial
        self._filtered.clear()

    # Writes of samplers

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter of the RUNNING trial."""
        trial = self._own(trial_id)
        trial.distributions[param_name] = distribution
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute of the RUNNING trial."""
        self._own(trial_id).system_attrs[key] = value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of the RUNNING trial."""
        self._own(trial_id).user_attrs[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a system attribute of the study in the storage, with the prefix. It does not wait for the commit."""
        with self._without_waiting():
            self._storage.set_study_system_attr(study_id, f"{self._prefix}{key}", value)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute of the study in the storage. It does not wait for the commit."""
        with self._without_waiting():
            self._storage.set_study_user_attr(study_id, key, value)

    def _without_waiting(self) -> AbstractContextManager[object]:
        return self._storage.deferred() if isinstance(self._storage, GroupCommitStorage) else nullcontext()

    def _own(self, trial_id: int) -> FrozenTrial:
        if trial_id != trial_id_of(self.trial):
            raise RuntimeError(f"a suggestion must not change another trial: {trial_id}")
        return self.trial

    # Reads of samplers

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial of the overlay by its id."""
        if trial_id == trial_id_of(self.trial):
            return copy.copy(self.trial)
        for trial in reversed(self._trials):
            if trial_id_of(trial) == trial_id:
                return trial
        raise KeyError(f"No trial with trial_id {trial_id} exists.")

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials of the overlay, or those in some states."""
        wanted = frozenset(state for state in TrialState if states is None or state in states)
        trials = self._filtered.get(wanted)
        if trials is None:
            trials = self._filtered[wanted] = [trial for trial in self._trials if trial.state in wanted]
        return copy.deepcopy(trials) if deepcopy else trials.copy()

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of the trial with this number in the overlay."""
        return trial_id_of(self._trials[trial_number])

    def get_study_id_from_name(self, study_name: str) -> int:
        """The id of the study with this name."""
        return self._storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """The name of a study."""
        return self._storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The direction of each objective."""
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The user attributes of a study."""
        return self._storage.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The system attributes with the prefix, without it."""
        attributes = self._storage.get_study_system_attrs(study_id)
        start = len(self._prefix)
        return {key[start:]: value for key, value in attributes.items() if key.startswith(self._prefix)}

    def get_all_studies(self) -> list[FrozenStudy]:
        """All studies of the storage."""
        return self._storage.get_all_studies()

    # Not used by samplers

    def _refuse(self, *_arguments: Any, **_options: Any) -> NoReturn:
        raise NotImplementedError("a suggestion makes, reports and ends nothing")

    create_new_study = delete_study = create_new_trial = _refuse
    set_trial_state_values = set_trial_intermediate_value = _refuse


class FinishedOnce:
    """What a sampler sees of a trial, computed only once for a finished trial, because that does not change."""

    def __init__(self, look: Callable[[FrozenTrial], FrozenTrial]) -> None:
        self._look = look
        self._finished: dict[int, FrozenTrial] = {}

    def __call__(self, trial: FrozenTrial) -> FrozenTrial:
        """What the sampler sees of a trial."""
        if not trial.state.is_finished():
            return self._look(trial)
        trial_id = trial_id_of(trial)
        if trial_id not in self._finished:
            self._finished[trial_id] = self._look(trial)
        return self._finished[trial_id]


class ImportedTrials:
    """Imported trials, which come before a study's own in an overlay. For one thread at a time."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        """`trials` must be numbered from 0."""
        self.trials = trials
        self._renumbered: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}

    def renumbered(self, trial: FrozenTrial) -> FrozenTrial:
        """A trial of the study with its number in the overlay. The copy is cached: stored trials never change."""
        trial_id = trial_id_of(trial)
        known = self._renumbered.get(trial_id)
        if known is not None and known[0] is trial:
            return known[1]
        moved = copy.copy(trial)
        moved.number += len(self.trials)
        self._renumbered[trial_id] = (trial, moved)
        return moved


def _is_like(known: BaseDistribution | None, distribution: BaseDistribution) -> bool:
    if known is None:
        return True
    try:
        check_distribution_compatibility(known, distribution)
    except ValueError:
        return False
    return True


def _new_trial(number: int) -> FrozenTrial:
    """A RUNNING trial without an id in the storage. Its id is negative, which no saved trial has."""
    trial = create_trial(state=TrialState.RUNNING)
    trial.number = number
    set_trial_id(trial, -1 - number)
    return trial
