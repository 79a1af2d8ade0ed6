"""An Optuna storage that reads from memory and writes in groups.

All studies are in memory, so no read touches the database. A write changes memory, joins the open batch of the single
writer thread and returns after that batch is committed. Writes that arrive during one commit share the next one.
The tables are Optuna's own, so stock Optuna can read the database at any time.
"""

import copy
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
from storage.database.opening import as_storage_errors
from storage.database.owned_database import OwnedDatabase
from storage.json_text import load_json
from storage.optuna_seam.objects import FrozenStudy, trial_id_of
from storage.trials import rows
from storage.trials.loading import load
from storage.trials.memory import Memory, StudyMemory, add_intermediate_value, check_compatible, frozen_study
from storage.writing.commits import Commits
from storage.writing.upserts import set_sequences
from storage.writing.writer import Writer

_open: "weakref.WeakValueDictionary[str, GroupCommitStorage]" = weakref.WeakValueDictionary()


def _opened(url: str) -> "GroupCommitStorage":
    """Return the process's storage for a database, opened if necessary. A pickled storage is restored by it."""
    return _open.get(url) or GroupCommitStorage(url)


class GroupCommitStorage(BaseStorage):
    """Optuna's storage contract, on a database that this process owns.

    Methods and their errors are those of `optuna.storages.BaseStorage`. Besides, writes raise StorageFailedError,
    StorageClosedError and DatabaseUnavailableError.
    """

    def __init__(self, url: str, wait_seconds: float = 20.0) -> None:
        """Open a database, take ownership of it and load it. A write waits at most `wait_seconds` for its commit.

        Raises InvalidDatabaseUrlError, DatabaseUnavailableError, and DatabaseOwnedError if another service owns it.
        """
        self._url = url
        self._lock = threading.RLock()
        self._distributions = rows.DistributionCache()
        self._database = OwnedDatabase(url)
        self.engine = self._database.engine
        try:
            with as_storage_errors(self.engine.url):
                self._memory: Memory = load(self.engine, self._distributions)
        except BaseException:
            self._database.connection.close()
            self._database.close()
            raise
        database = self._database
        self.writer = Writer(database.reconnect, database.unlock, database.check_after_write, database.connection)
        self.commits = Commits(self.writer, wait_seconds)
        _open[url] = self

    def __reduce__(self) -> tuple[Callable[[str], "GroupCommitStorage"], tuple[str]]:
        return _opened, (self._url,)

    def transaction(self) -> AbstractContextManager[Batch]:
        """Commit all writes of a block together, see `Commits.transaction`."""
        return self.commits.transaction()

    def deferred(self) -> AbstractContextManager[object]:
        """Write in the block without waiting for the commit."""
        return self.commits.deferred()

    def _writing(self) -> AbstractContextManager[Batch]:
        return self.commits.operation(self._lock)

    def close(self) -> None:
        """Commit the waiting writes, leave the database ready for stock Optuna, and give it up."""
        if self.writer.close():
            with suppress(SQLAlchemyError), self.engine.begin() as connection:
                set_sequences(connection)
        self._database.close()
        _open.pop(self._url, None)

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Create a study and return its id."""
        rows.check_key(study_name or "")
        with self._writing() as batch:
            study = self._memory.add_study(study_name, directions)
            rows.put_study(batch, study.study_id, study.name, study.directions)
            self._put_next_ids(batch)
            return study.study_id

    def delete_study(self, study_id: int) -> None:
        """Delete a study and all its trials."""
        with self._writing() as batch:
            study = self._memory.delete_study(study_id)
            batch.remove_study(study.study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a study."""
        self._set_study_attr("user_attrs", "study_user_attributes", study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a system attribute of a study."""
        self._set_study_attr("system_attrs", "study_system_attributes", study_id, key, value)

    def _set_study_attr(self, kind: str, table: str, study_id: int, key: str, value: Any) -> None:
        rows.check_key(key)
        text = rows.attribute_text(value)
        with self._writing() as batch:
            study = self._memory.study(study_id)
            setattr(study, kind, {**getattr(study, kind), key: load_json(text)})
            batch.put(table, (study_id, key), (study_id, key, text))

    def get_study_id_from_name(self, study_name: str) -> int:
        """The id of the study with this name."""
        with self._lock:
            return self._memory.study_id(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """The name of a study."""
        return self._study(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The direction of each objective."""
        return self._study(study_id).directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The user attributes of a study; not a copy."""
        return self._study(study_id).user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The system attributes of a study; not a copy."""
        return self._study(study_id).system_attrs

    def get_all_studies(self) -> list[FrozenStudy]:
        """All studies as copies."""
        with self._lock:
            return [frozen_study(study) for study in self._memory.studies.values()]

    def _study(self, study_id: int) -> StudyMemory:
        with self._lock:
            return self._memory.study(study_id)

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial, RUNNING or like the template, and return its id."""
        if template_trial is not None:
            template_trial = rows.normalized(template_trial, self._distributions)
        with self._writing() as batch:
            trial = self._memory.add_trial(self._memory.study(study_id), template_trial)
            rows.put_trial(batch, trial, study_id, self._distributions)
            self._put_next_ids(batch)
            return trial_id_of(trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter of an unfinished trial."""
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
        """Set the state and objective values of a trial. Returns False if it should run but does not wait."""
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            if state == TrialState.RUNNING and trial.state != TrialState.WAITING:
                return False
            trial.state = state
            if values is not None:
                if len(trial.values or ()) > len(values):  # rows of objectives beyond the new values would stay
                    batch.remove("trial_values", "trial_id", trial_id)
                trial.values = [float(value) for value in values]
                for objective, value in enumerate(trial.values):
                    batch.put("trial_values", (trial_id, objective), rows.value_row(trial_id, objective, value))
            if state == TrialState.RUNNING:
                trial.datetime_start = datetime.now()
            if state.is_finished():
                trial.datetime_complete = datetime.now()
                trial.intermediate_values = dict(trial.intermediate_values)
            study.replace(trial)
            batch.put("trials", trial_id, rows.trial_row(trial, study.study_id))
            return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the intermediate value of a trial at a step."""
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            add_intermediate_value(trial, step, float(intermediate_value))
            study.replace(trial)
            row = rows.intermediate_row(trial_id, step, intermediate_value)
            batch.put("trial_intermediate_values", (trial_id, step), row)

    def clear_intermediate_values(self, trial_id: int, *, after_step: int | None = None) -> None:
        """Delete the intermediate values of an unfinished trial; with `after_step`, only those of later steps.

        Not part of Optuna's contract. Raises KeyError and UpdateFinishedTrialError.
        """
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            values = trial.intermediate_values.items()
            trial.intermediate_values = (
                {step: value for step, value in values if step <= after_step} if after_step is not None else {}
            )
            study.replace(trial)
            batch.remove("trial_intermediate_values", "trial_id", trial_id, after_step=after_step)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of an unfinished trial."""
        self._set_trial_attr("user_attrs", "trial_user_attributes", trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute of an unfinished trial."""
        self._set_trial_attr("system_attrs", "trial_system_attributes", trial_id, key, value)

    def _set_trial_attr(self, kind: str, table: str, trial_id: int, key: str, value: Any) -> None:
        rows.check_key(key)
        text = rows.attribute_text(value)
        with self._writing() as batch:
            study, trial = self._updatable(trial_id)
            setattr(trial, kind, {**getattr(trial, kind), key: load_json(text)})
            study.replace(trial)
            batch.put(table, (trial_id, key), (trial_id, key, text))

    def _updatable(self, trial_id: int) -> tuple[StudyMemory, FrozenTrial]:
        """The study of a trial, and a copy of the trial to change. Raises KeyError and UpdateFinishedTrialError."""
        study, number = self._memory.place(trial_id)
        trial = study.trials[number]
        self.check_trial_is_updatable(trial_id, trial.state)
        return study, copy.copy(trial)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of the trial with this number in a study."""
        trials = self._study(study_id).trials
        if not 0 <= trial_number < len(trials):
            raise KeyError(f"No trial with trial number {trial_number} exists in study with study_id {study_id}.")
        return trial_id_of(trials[trial_number])

    def get_study_id_from_trial_id(self, trial_id: int) -> int:
        """The study of a trial. Raises KeyError. Not part of Optuna's contract."""
        with self._lock:
            return self._memory.place(trial_id)[0].study_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial as of now. It is replaced on a write, so this object does not change."""
        with self._lock:
            return self._memory.trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials of a study, or those in some states, in the order of their numbers."""
        with self._lock:
            study = self._memory.study(study_id)
            trials = study.trials.copy() if states is None else study.in_states(states)
        return copy.deepcopy(trials) if deepcopy else trials

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """Number of trials of a study, or of those in some states."""
        with self._lock:
            return self._memory.study(study_id).n_trials(state)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The best complete trial of a study with one objective."""
        with self._lock:
            return self._memory.study(study_id).best_trial()

    def n_changes(self, study_id: int) -> int:
        """How often trials of a study were added or changed since it was loaded."""
        return self._study(study_id).n_changes

    def _put_next_ids(self, batch: Batch) -> None:
        """Save the next ids, so that the id of a deleted study or trial is not used again after a restart."""
        batch.put("narrows_ids", "study", ("study", self._memory.next_study_id))
        batch.put("narrows_ids", "trial", ("trial", self._memory.next_trial_id))
