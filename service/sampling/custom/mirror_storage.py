"""The study as a sampler's process knows it: what the service has sent, and what the sampler has set."""

import copy
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from service.sampling.custom.messages import Start, TrialsChange
from storage import FrozenStudy, trial_id_of


class Written:
    """The attributes that a sampler has set while it was called."""

    def __init__(self) -> None:
        self.trial_system: dict[str, Any] = {}
        self.trial_user: dict[str, Any] = {}
        self.study_system: dict[str, Any] = {}
        self.study_user: dict[str, Any] = {}


class MirrorStorage(BaseStorage):
    """One study in memory. A sampler may set attributes of the study and of the trial that it is called for."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._trials: list[FrozenTrial] = []
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.written = Written()
        self._own: FrozenTrial | None = None

    def take(self, change: TrialsChange) -> None:
        """Take over the trials that are new or changed."""
        for position, trial in change.trials:
            if position == len(self._trials):
                self._trials.append(trial)
            else:
                self._trials[position] = trial
        del self._trials[change.n_trials :]

    @contextmanager
    def opened(self, trial_id: int) -> Iterator[FrozenTrial]:
        """Let the sampler set attributes in the block, of the study and of one trial, as a RUNNING one.

        Afterwards everything is as before: the service takes over what is `written`, and sends it again.
        Raises KeyError if another program has deleted the trial.
        """
        self.written = Written()
        position = self._position(trial_id)
        before, attrs = self._trials[position], (self.user_attrs, self.system_attrs)
        own = copy.copy(before)
        own.state, own.values = TrialState.RUNNING, None
        own.system_attrs, own.user_attrs = dict(before.system_attrs), dict(before.user_attrs)
        self.user_attrs, self.system_attrs = dict(self.user_attrs), dict(self.system_attrs)
        self._own = self._trials[position] = own
        try:
            yield copy.copy(own)
        finally:
            self._trials[position], (self.user_attrs, self.system_attrs) = before, attrs
            self._own = None

    # Writes of samplers

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute of the trial that the sampler is called for."""
        self._opened(trial_id).system_attrs[key] = self.written.trial_system[key] = value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of the trial that the sampler is called for."""
        self._opened(trial_id).user_attrs[key] = self.written.trial_user[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a system attribute of the study."""
        self.system_attrs[key] = self.written.study_system[key] = value

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute of the study."""
        self.user_attrs[key] = self.written.study_user[key] = value

    def _opened(self, trial_id: int) -> FrozenTrial:
        if self._own is None or trial_id != trial_id_of(self._own):
            raise RuntimeError(f"a suggestion must not change another trial: {trial_id}")
        return self._own

    # Reads of samplers

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial by its id."""
        if self._own is not None and trial_id == trial_id_of(self._own):
            return copy.copy(self._own)
        return self._trials[self._position(trial_id)]

    def _position(self, trial_id: int) -> int:
        """Where a trial is; the last one, because an earlier suggestion may have had its id."""
        for position in range(len(self._trials) - 1, -1, -1):
            if trial_id_of(self._trials[position]) == trial_id:
                return position
        raise KeyError(f"No trial with trial_id {trial_id} exists.")

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials, or those in some states."""
        trials = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of the trial with this number."""
        return trial_id_of(self._trials[trial_number])

    def get_study_id_from_name(self, study_name: str) -> int:
        """The id of the study."""
        return self._start.study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        """The name of the study."""
        return self._start.study_name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The direction of each objective."""
        return self._start.directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The user attributes of the study."""
        return dict(self.user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The system attributes of the study."""
        return dict(self.system_attrs)

    def get_all_studies(self) -> list[FrozenStudy]:
        """The study."""
        name, directions, study_id = self._start.study_name, self._start.directions, self._start.study_id
        return [FrozenStudy(name, None, self.user_attrs, self.system_attrs, study_id, directions=directions)]

    # Not used by samplers

    def _refuse(self, *_arguments: Any, **_options: Any) -> NoReturn:
        raise NotImplementedError("a sampler makes, reports and ends nothing")

    create_new_study = delete_study = create_new_trial = set_trial_param = _refuse
    set_trial_state_values = set_trial_intermediate_value = _refuse
