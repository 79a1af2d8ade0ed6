"""Changes from the dashboard, applied to live studies and the service's own tables. Leased trials are not changed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.errors import (
    InvalidError,
    StateConflictError,
    StudyNotFoundError,
    TrialLeasedError,
    TrialNotFoundError,
)
from service.leases.trial_ends import finish_unleased_trial
from service.registry.registry import Registry
from service.study.live_study import LiveStudy
from storage import save_dashboard_note, trial_id_of

REASON = "ended in the dashboard"


def find_study(registry: Registry, study_id: int | None, trial_id: int | None) -> LiveStudy | None:
    """The study with this id, or without one the study of a trial; None if there is none or it is another program's."""
    try:
        if study_id is None and trial_id is not None:
            study_id = registry.store.optuna.get_study_id_from_trial_id(trial_id)
    except KeyError:
        return None
    return None if study_id is None else registry.by_id(study_id)


def delete_unleased_study(registry: Registry, study_id: int) -> None:
    """Delete a study without leases. Raises StudyNotFoundError and TrialLeasedError."""
    live = registry.by_id(study_id)
    if live is not None:
        live.tick()
        registry.delete(live.record.name, leased=False)
        return
    try:  # a study of another program
        registry.store.optuna.delete_study(study_id)
    except KeyError as error:
        raise StudyNotFoundError(f"no study with this id: {study_id}") from error


def end_trial(registry: Registry, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
    """End a trial by hand. Raises TrialNotFoundError, TrialLeasedError, StateConflictError and InvalidError."""
    storage = registry.store.optuna
    with editing_trial(registry, trial_id) as (live, trial):
        objective_values = list(values or ()) if state == TrialState.COMPLETE else None
        n_objectives = len(storage.get_study_directions(storage.get_study_id_from_trial_id(trial_id)))
        if objective_values is not None and len(objective_values) != n_objectives:
            message = f"values must have one number for each objective: {len(objective_values)} given"
            raise InvalidError([("values", message)])
        if live is None:  # a study of another program
            storage.set_trial_state_values(trial_id, state, objective_values)
            return
        if live.final is not None:
            raise StateConflictError(f"trial {trial.number} is part of a final evaluation: only workers end it")
        reason = REASON if state == TrialState.FAIL else None
        finish_unleased_trial(live, trial_id_of(trial), trial.number, state, objective_values, reason)
        live.tick()


def set_attributes(registry: Registry, trial_id: int, attributes: Mapping[str, object]) -> None:
    """Set a trial's attributes. Raises TrialNotFoundError, TrialLeasedError, StateConflictError and InvalidError."""
    with editing_trial(registry, trial_id):
        for key, value in attributes.items():
            try:
                registry.store.optuna.set_trial_user_attr(trial_id, key, value)
            except ValueError as error:
                raise InvalidError([("user_attrs", str(error))]) from error


def save_note(
    registry: Registry, study_id: int, trial_id: int | None, version: int, body: str
) -> dict[str, Any] | None:
    """Save the note of a study or trial and return None, or return the present note if `version` is not its successor.

    Raises StudyNotFoundError, TrialNotFoundError and TrialLeasedError.
    """
    with (
        _editing_study(registry, study_id)
        if trial_id is None
        else editing_trial(registry, trial_id, may_be_finished=True, study_id=study_id)
    ):
        return save_dashboard_note(registry.store.optuna, study_id, trial_id, version, body)


@contextmanager
def _editing_study(registry: Registry, study_id: int) -> Iterator[None]:
    live = registry.by_id(study_id)
    try:
        with nullcontext() if live is None else live.committed_change():
            yield
    except KeyError as error:
        raise StudyNotFoundError(f"no study with this id: {study_id}") from error


@contextmanager
def editing_trial(
    registry: Registry, trial_id: int, *, may_be_finished: bool = False, study_id: int | None = None
) -> Iterator[tuple[LiveStudy | None, FrozenTrial]]:
    """Lock the study of a trial that no worker holds, and yield the study and the trial.

    The study is None if another program created it. A finished trial is refused unless it `may_be_finished`. A trial of
    another study than `study_id` is refused as unknown.

    Raises TrialNotFoundError, TrialLeasedError and StateConflictError.
    """
    storage = registry.store.optuna
    try:
        found_id = storage.get_study_id_from_trial_id(trial_id)
        if study_id not in (None, found_id):
            raise KeyError(trial_id)
        live = registry.by_id(found_id)
        with nullcontext() if live is None else live.committed_change():
            if live is not None:
                live.tick()
                _check_unleased(live, trial_id)
            trial = storage.get_trial(trial_id)
            if trial.state.is_finished() and not may_be_finished:
                raise StateConflictError(f"trial {trial.number} has ended as {trial.state.name}")
            yield live, trial
    except KeyError as error:
        raise TrialNotFoundError(f"no trial with this id: {trial_id}") from error


def _check_unleased(live: LiveStudy, trial_id: int) -> None:
    for lease in live.leases:
        if lease.trial_id == trial_id:
            raise TrialLeasedError(
                f"trial {lease.trial_number} of study {live.record.name} is leased to worker {lease.worker_id}: "
                "it cannot be changed until the lease ends"
            )
