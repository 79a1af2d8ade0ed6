"""An Optuna storage that reads from memory and writes in groups.

All studies are in memory, so that no read touches the database. A write changes memory, joins the open batch of the
one writer thread, and returns when that batch is committed: one transaction for all that came in during the last.
The tables are Optuna's own, so stock Optuna reads the database at any moment.
"""

import copy
import json
import threading
import weakref
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from storage.batch import Batch
from storage.database.opening import translated
from storage.database.owned_database import OwnedDatabase
from storage.optuna_seam.objects import FrozenStudy, trial_id_of
from storage.trials import rows
from storage.trials.loading import load
from storage.trials.memory import Memory, StudyMemory, check_compatible, frozen_study
from storage.writing.commits import Commits
from storage.writing.upserts import set_sequences
from storage.writing.writer import Writer

_open: "weakref.WeakValueDictionary[str, GroupCommitStorage]" = weakref.WeakValueDictionary()


def _opened(url: str) -> "GroupCommitStorage":
    """The storage that this process has on a database, opened if need be: what a pickled one comes back as."""
    return _open.get(url) or GroupCommitStorage(url)


class GroupCommitStorage(BaseStorage):
    """Optuna's storage contract on one database that this process owns.

    Besides Optuna's errors, writes raise StorageFailedError, StorageClosedError and DatabaseUnavailableError.
    """

    def __init__(self, url: str, wait_seconds: float = 20.0) -> None:
        """Open a database, make it ours, and load it. A write waits for its commit `wait_seconds` at most.

        Raises InvalidDatabaseUrlError, DatabaseUnavailableError, and DatabaseOwnedError when another service has it.
        """
        self._url = url
        self._lock = threading.RLock()
        self._distributions = rows.Distributions()
        self._database = OwnedDatabase(url)
        self.engine = self._database.engine
        try:
            with translated(self.engine.url):
                self._memory: Memory = load(self.engine, self._distributions)
        except BaseException:
            self._database.connection.close()
            self._database.close()
            raise
        self.writer = Writer(self._database.reconnect, self._database.unlock, self._database.connection)
        self.commits = Commits(self.writer, wait_seconds)
        _open[url] = self

    def __reduce__(self) -> tuple[Callable[[str], "GroupCommitStorage"], tuple[str]]:
        return _opened, (self._url,)

    def transaction(self) -> AbstractContextManager[Batch]:
        """Join all writes of a block into one transaction, see `Commits.transaction`."""
        return self.commits.transaction()

    def _writing(self) -> AbstractContextManager[Batch]:
        return self.commits.operation(self._lock)

    def close(self) -> None:
        """Commit what waits, leave the database as stock Optuna expects it, and let it go."""
        if self.writer.close():
            with suppress(SQLAlchemyError), self.engine.begin() as connection:
                set_sequences(connection)
        self._database.close()
        _open.pop(self._url, None)

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        rows.check_key(study_name or "")
        with self._writing() as batch:
            study = self._memory.add_study(study_name, directions)
            batch.put("studies", study.study_id, (study.study_id, study.name))
            for objective, direction in enumerate(study.directions):
                row = (study.study_id, objective, direction.name)
                batch.put("study_directions", (study.study_id, objective), row)
            self._put_next_ids(batch)
            return study.study_id

    def delete_study(self, study_id: int) -> None:
        with self._writing() as batch:
            study = self._memory.delete_study(study_id)
            batch.remove_study(study.study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._set_study_attr("user_attrs", "study_user_attributes", study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._set_study_attr("system_attrs", "study_system_attributes", study_id, key, value)

    def _set_study_attr(self, kind: str, table: str, study_id: int, key: str, value: Any) -> None:
        rows.check_key(key)
        text = rows.attribute_text(value)
        with self._writing() as batch:
            study = self._memory.study(study_id)
            setattr(study, kind, {**getattr(study, kind), key: json.loads(text)})
            batch.put(table, (study_id, key), (study_id, key, text))

    def get_study_id_from_name(self, study_name: str) -> int:
        with self._lock:
            return self._memory.study_id(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._study(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._study(study_id).directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._study(study_id).user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._study(study_id).system_attrs

    def get_all_studies(self) -> list[FrozenStudy]:
        with self._lock:
            return [frozen_study(study) for study in self._memory.studies.values()]

    def _study(self, study_id: int) -> StudyMemory:
        with self._lock:
            return self._memory.study(study_id)

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if template_trial is not None:
            template_trial = self._normalized(template_trial)
        with self._writing() as batch:
            trial = self._memory.add_trial(self._memory.study(study_id), template_trial)
            rows.put_trial(batch, trial, study_id, self._distributions)
            self._put_next_ids(batch)
            return trial_id_of(trial)

    def _normalized(self, template: FrozenTrial) -> FrozenTrial:
        """A template as the database would give it back. Raises ValueError and TypeError for what it cannot keep."""
        for key in rows.keys_of(template):
            rows.check_key(key)
        trial = copy.copy(template)
        known = {name: self._distributions.intern(found)[1] for name, found in template.distributions.items()}
        trial.distributions = known
        trial.params = {name: rows.through(known[name], value) for name, value in template.params.items()}
        trial.values = None if template.values is None else [float(value) for value in template.values]
        trial.intermediate_values = {step: float(value) for step, value in template.intermediate_values.items()}
        trial.user_attrs = json.loads(rows.attribute_text(template.user_attrs))
        trial.system_attrs = json.loads(rows.attribute_text(template.system_attrs))
        return trial

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        rows.check_key(param_name)
        text, distribution = self._distributions.intern(distribution)
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            check_compatible(study, param_name, distribution)
            study.distributions[param_name] = distribution
            trial.params = {**trial.params, param_name: distribution.to_external_repr(float(param_value_internal))}
            trial.distributions = {**trial.distributions, param_name: distribution}
            study.replace(trial)
            row = rows.param_row(trial_id, param_name, param_value_internal, text)
            batch.put("trial_params", (trial_id, param_name), row)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            if state == TrialState.RUNNING and trial.state != TrialState.WAITING:
                return False
            trial.state = state
            if values is not None:
                trial.values = [float(value) for value in values]
                for objective, value in enumerate(trial.values):
                    batch.put("trial_values", (trial_id, objective), rows.value_row(trial_id, objective, value))
            if state == TrialState.RUNNING:
                trial.datetime_start = datetime.now()
            if state.is_finished():
                trial.datetime_complete = datetime.now()
            study.replace(trial)
            batch.put("trials", trial_id, rows.trial_row(trial, study.study_id))
            return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            trial.intermediate_values = {**trial.intermediate_values, step: float(intermediate_value)}
            study.replace(trial)
            row = rows.intermediate_row(trial_id, step, intermediate_value)
            batch.put("trial_intermediate_values", (trial_id, step), row)

    def clear_intermediate_values(self, trial_id: int, *, after_step: int | None = None) -> None:
        """Forget what an unfinished trial has reported, or what came after a step, before it starts again.

        Not part of Optuna's contract.
        """
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            known = trial.intermediate_values.items()
            kept = {} if after_step is None else {step: value for step, value in known if step <= after_step}
            trial.intermediate_values = kept
            study.replace(trial)
            batch.remove("trial_intermediate_values", "trial_id", trial_id, after_step=after_step)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._set_trial_attr("user_attrs", "trial_user_attributes", trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._set_trial_attr("system_attrs", "trial_system_attributes", trial_id, key, value)

    def _set_trial_attr(self, kind: str, table: str, trial_id: int, key: str, value: Any) -> None:
        rows.check_key(key)
        text = rows.attribute_text(value)
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            setattr(trial, kind, {**getattr(trial, kind), key: json.loads(text)})
            study.replace(trial)
            batch.put(table, (trial_id, key), (trial_id, key, text))

    def _updatable(self, trial_id: int) -> tuple[StudyMemory, FrozenTrial]:
        """A trial's study, and a copy of it to change and put back. Raises KeyError and UpdateFinishedTrialError."""
        study, number = self._memory.place(trial_id)
        trial = study.trials[number]
        self.check_trial_is_updatable(trial_id, trial.state)
        return study, copy.copy(trial)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        trials = self._study(study_id).trials
        if not 0 <= trial_number < len(trials):
            raise KeyError(f"No trial with trial number {trial_number} exists in study with study_id {study_id}.")
        return trial_id_of(trials[trial_number])

    def get_trial_number_from_id(self, trial_id: int) -> int:
        with self._lock:
            return self._memory.place(trial_id)[1]

    def get_study_id_from_trial_id(self, trial_id: int) -> int:
        """Raises KeyError. Not part of Optuna's contract."""
        with self._lock:
            return self._memory.place(trial_id)[0].study_id

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        trial = self.get_trial(trial_id)
        return trial.distributions[param_name].to_internal_repr(trial.params[param_name])

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self._lock:
            return self._memory.trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        with self._lock:
            study = self._memory.study(study_id)
            trials = study.trials.copy() if states is None else study.in_states(states)
        return copy.deepcopy(trials) if deepcopy else trials

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        with self._lock:
            study = self._memory.study(study_id)
            if state is None:
                return len(study.trials)
            states = (state,) if isinstance(state, TrialState) else state
            return sum(study.counts[wanted] for wanted in set(states))

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        with self._lock:
            study = self._memory.study(study_id)
            if len(study.directions) > 1:
                raise RuntimeError("Best trial can be obtained only for single-objective optimization.")
            if study.best is None:
                raise ValueError("No trials are completed yet.")
            return study.best

    def remove_session(self) -> None:
        """Nothing to do: readers have no session."""

    def _put_next_ids(self, batch: Batch) -> None:
        """Keep the next ids, so that the id of something deleted is not given again after a restart."""
        batch.put("narrows_ids", "study", ("study", self._memory.next_study_id))
        batch.put("narrows_ids", "trial", ("trial", self._memory.next_trial_id))
