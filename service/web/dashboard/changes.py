"""What may be changed from the dashboard, with our own tables following. A trial that a worker has is left alone."""

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
from service.leases.ends import finish_unleased
from service.registry.registry import Registry
from service.study.live_study import LiveStudy

REASON = "ended in the dashboard"


def delete_study(registry: Registry, study_id: int) -> None:
    """Delete a study of which no worker has a trial. Raises StudyNotFoundError and TrialLeasedError."""
    live = registry.by_id(study_id)
    if live is not None:
        live.tick()
        registry.delete(live.record.name, leased=False)
        return
    try:  # one that another program has made
        registry.store.optuna.delete_study(study_id)
    except KeyError as error:
        raise StudyNotFoundError(f"no study of this id: {study_id}") from error


def tell(registry: Registry, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
    """End a trial by hand. Raises TrialNotFoundError, TrialLeasedError, StateConflictError and InvalidError."""
    storage = registry.store.optuna
    with editing(registry, trial_id) as (live, trial):
        given = list(values or ()) if state == TrialState.COMPLETE else None
        n_objectives = len(storage.get_study_directions(storage.get_study_id_from_trial_id(trial_id)))
        if given is not None and len(given) != n_objectives:
            raise InvalidError([("values", f"values must have one number for each objective: {len(given)} given")])
        if live is None:  # one that another program has made
            storage.set_trial_state_values(trial_id, state, given)
            return
        if live.final is not None:
            raise StateConflictError(f"trial {trial.number} is part of a final evaluation: workers alone end it")
        reason = REASON if state == TrialState.FAIL else None
        finish_unleased(live, trial._trial_id, trial.number, state, given, reason)
        live.tick()


def set_user_attrs(registry: Registry, trial_id: int, attributes: Mapping[str, object]) -> None:
    """Keep attributes with a trial. Raises TrialNotFoundError, TrialLeasedError, StateConflictError, InvalidError."""
    with editing(registry, trial_id):
        for key, value in attributes.items():
            try:
                registry.store.optuna.set_trial_user_attr(trial_id, key, value)
            except ValueError as error:
                raise InvalidError([("user_attrs", str(error))]) from error


def save_note(
    registry: Registry, study_id: int, trial_id: int | None, version: int, body: str
) -> dict[str, Any] | None:
    """Keep a note, which lies with the study; the one that is there when `version` does not follow on it.

    Raises StudyNotFoundError, TrialNotFoundError and TrialLeasedError.
    """
    from optuna_dashboard import _note  # as heavy as the pages, which have loaded it

    storage = registry.store.optuna
    with _study(registry, study_id) if trial_id is None else editing(registry, trial_id, finished=True, of=study_id):
        attributes = storage.get_study_system_attrs(study_id)
        if not _note.version_is_incremented(attributes, trial_id, version):
            known: dict[str, Any] = _note.get_note_from_system_attrs(attributes, trial_id)
            return known
        _note.save_note_with_version(storage, study_id, trial_id, version, body)
        return None


@contextmanager
def _study(registry: Registry, study_id: int) -> Iterator[None]:
    live = registry.by_id(study_id)
    try:
        with nullcontext() if live is None else live.working():
            yield
    except KeyError as error:
        raise StudyNotFoundError(f"no study of this id: {study_id}") from error


@contextmanager
def editing(
    registry: Registry, trial_id: int, *, finished: bool = False, of: int | None = None
) -> Iterator[tuple[LiveStudy | None, FrozenTrial]]:
    """Hold a trial that no worker has, and its study if it is one of ours.

    `finished`: one that has ended will do; `of`: the study that it must be of.

    Raises TrialNotFoundError, TrialLeasedError and StateConflictError.
    """
    storage = registry.store.optuna
    try:
        study_id = storage.get_study_id_from_trial_id(trial_id)
        if of not in (None, study_id):
            raise KeyError(trial_id)
        live = registry.by_id(study_id)
        with nullcontext() if live is None else live.working():
            if live is not None:
                live.tick()
                _check_unleased(live, trial_id)
            trial = storage.get_trial(trial_id)
            if trial.state.is_finished() and not finished:
                raise StateConflictError(f"trial {trial.number} has ended, it is {trial.state.name}")
            yield live, trial
    except KeyError as error:
        raise TrialNotFoundError(f"no trial of this id: {trial_id}") from error


def _check_unleased(live: LiveStudy, trial_id: int) -> None:
    for lease in live.leases:
        if lease.trial_id == trial_id:
            raise TrialLeasedError(
                f"trial {lease.trial_number} of study {live.record.name} is leased to worker {lease.worker_id}: "
                "it can be changed when it has ended"
            )
