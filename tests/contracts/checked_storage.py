"""A storage that answers only what its database would answer too.

Before a read that follows a write, everything is loaded afresh from the database and compared with memory. So every
assertion of a test that uses it holds for a reloaded instance as well.
"""

from collections.abc import Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from storage import FrozenStudy, GroupCommitStorage
from storage.trials.loading import load
from storage.trials.memory import Memory, frozen_study
from storage.trials.rows import DistributionCache


def comparable(trial: FrozenTrial) -> dict[str, Any]:
    """All that a trial holds; nan as text, as it is not equal to itself."""
    return {
        "id": (trial._trial_id, trial.number, trial.state),
        "times": (trial.datetime_start, trial.datetime_complete),
        "params": repr(trial.params),
        "distributions": repr(trial.distributions),
        "values": repr(trial.values),
        "intermediate_values": {step: repr(value) for step, value in trial.intermediate_values.items()},
        "attributes": (repr(trial.user_attrs), repr(trial.system_attrs)),
    }


ASKED_FOR = (
    (TrialState.COMPLETE,),
    (TrialState.COMPLETE, TrialState.PRUNED),
    (TrialState.RUNNING, TrialState.PRUNED, TrialState.COMPLETE),
    (TrialState.WAITING,),
)
"""What pruners, samplers and studies ask for."""


def assert_same(memory: Memory, reloaded: Memory) -> None:
    assert memory.studies.keys() == reloaded.studies.keys()
    for study_id, study in memory.studies.items():
        other = reloaded.studies[study_id]
        assert frozen_study(study) == frozen_study(other)
        assert len(study.trials) == len(other.trials)
        for trial, same in zip(study.trials, other.trials, strict=True):
            mine, theirs = comparable(trial), comparable(same)
            for name, value in mine.items():
                assert value == theirs[name], (
                    f"{name} of trial {trial.number}: {value} in memory, {theirs[name]} reloaded"
                )
        assert (study.counts, study.unfinished) == (other.counts, other.unfinished)
        for states in ASKED_FOR:
            assert study.in_states(states) == [trial for trial in study.trials if trial.state in states]
        assert getattr(study.best, "number", None) == getattr(other.best, "number", None)


class CheckedStorage(BaseStorage):
    def __init__(self, storage: GroupCommitStorage) -> None:
        self._storage = storage
        self._dirty = False

    def _read(self) -> GroupCommitStorage:
        if self._dirty:
            self._storage.commits.barrier()
            assert_same(self._storage._memory, load(self._storage.engine, DistributionCache()))
            self._dirty = False
        return self._storage

    def _write(self) -> GroupCommitStorage:
        self._dirty = True
        return self._storage

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self._write().create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self._write().delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._write().set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._write().set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._read().get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._read().get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._read().get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._read().get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._read().get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._read().get_all_studies()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._write().create_new_trial(study_id, template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._write().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._read().get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        return self._write().set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._write().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._write().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._write().set_trial_system_attr(trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._read().get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._read().get_all_trials(study_id, deepcopy, states)

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        return self._read().get_n_trials(study_id, state)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return self._read().get_best_trial(study_id)
