"""Pause, resume, stop and extend a study, enqueue configurations, and try failed trials again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.errors import BudgetExhaustedError, InvalidError, NothingLeftError, StateConflictError
from service.sampling.ask import known_params
from service.schemas.changes import RequestedState, StudyChange
from service.schemas.results import StudyState
from service.schemas.study.checks import params_errors
from service.schemas.study.definition_fields import MAX_TRIALS, Params
from service.schemas.study.enqueue_checks import unused_errors
from service.study.live_study import LiveStudy
from service.study.retried import retry_of
from service.study.used_budget import limits_of
from storage import StudyRecord

ALLOWED_FROM: dict[RequestedState, tuple[StudyState, ...]] = {
    "paused": ("running", "paused"),
    "running": ("running", "paused", "stopped"),
    "stopped": ("running", "paused", "stopped"),
}
"""The states from which each state can be reached. A finished study can only be extended."""


def change_study(live: LiveStudy, change: StudyChange) -> None:
    """Apply a change whole or not at all. Raises InvalidError, NothingLeftError and StateConflictError."""
    with live.committed_change():
        live.tick()
        live.check_not_deleted()
        record = live.record
        if live.final is not None and (change.n_trials is not None or change.state == "stopped"):
            raise StateConflictError(
                f"study {record.name} is a final evaluation: it can be paused and resumed, no more"
            )
        raised = _raised(live, change)
        if change.state is None and not raised:
            raise InvalidError([("body", "state, n_trials, max_total_epochs or max_device_hours must be given")])
        state: StudyState = change.state or record.state
        if raised and record.state == "finished":
            _check_more_would_run(live, replace(record, **raised))
            if change.n_trials is not None and live.queue.is_exhausted(change.n_trials):
                raise NothingLeftError(f"study {record.name} has no more points: {_what_is_left(record.name)}")
            if change.n_trials is None and live.queue.is_empty(record.n_trials):
                raise StateConflictError(f"study {record.name} has no trial left to run: extend n_trials")
            state = change.state or "running"
        elif change.state is not None and record.state not in ALLOWED_FROM[change.state]:
            ways_on = "; narrows retry tries failed trials again, narrows extend adds trials"
            raise StateConflictError(
                f"study {record.name} is {record.state}: it cannot become {change.state}"
                f"{ways_on if record.state == 'finished' and change.state == 'running' else ''}"
            )
        if change.state == record.state == "running":  # workers that were stopped because of failures go on
            live.forget_failures()
        _change_record(live, state, raised)
        live.tick()
    live.notify()


def _raised(live: LiveStudy, change: StudyChange) -> dict[str, Any]:
    """The numbers that a change raises, by name. Raises InvalidError for one that is not larger than before."""
    max_epochs, max_hours = limits_of(live.definition, live.record)
    before = {"n_trials": live.record.n_trials, "max_total_epochs": max_epochs, "max_device_hours": max_hours}
    raised: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name, known in before.items():
        wanted: int | float | None = getattr(change, name)
        if wanted is None:
            continue
        raised[name] = wanted
        if known is None:
            errors.append((name, f"{name} cannot be raised: study {live.record.name} has no such limit"))
        elif wanted <= known:
            errors.append((name, f"{name} must be larger than before: {wanted:.15g} <= {known:.15g}"))
    if errors:
        raise InvalidError(errors)
    return raised


def _what_is_left(name: str) -> str:
    return f"all points of its search space are tried, narrows retry {name} tries those without a result again"


def _change_record(live: LiveStudy, state: StudyState, raised: Mapping[str, Any]) -> None:
    before = live.record
    values: dict[str, Any] = {"state": state, **raised}
    if state == "stopped" and before.state != "stopped":
        values |= {"finished_at": live.clock.now(), "finished_reason": "stopped by a user"}
    if state in ("running", "paused") and before.state in ("finished", "stopped"):
        values |= {"finished_at": None, "finished_reason": None}
    if state != before.state:
        values["state_reason"] = None
    if state == "running" and before.state != "running":
        live.forget_failures()
    live.record = live.store.change_study(live.record, **values)
    live.events.study_changed(before, live.record)


def _check_more_would_run(live: LiveStudy, record: StudyRecord) -> None:
    """Raises StateConflictError for a study that has ended early and would do so again, with its changed record."""
    reason = live.end.early_reason(record, live.clock.now())
    if reason is not None:
        raise StateConflictError(f"study {record.name} has ended, more trials would not run: {reason}")


def retry_trial(live: LiveStudy, failed: FrozenTrial) -> int:
    """Add a trial with the parameters of a failed one to the queue and return its number; n_trials grows by one.

    Raises StateConflictError.
    """
    with live.committed_change():
        live.tick()
        live.check_not_deleted()
        record, number = live.record, failed.number
        if live.final is not None:
            raise StateConflictError(f"study {record.name} is a final evaluation: its trials are all there")
        if failed.state != TrialState.FAIL:
            raise StateConflictError(
                f"trial {number} of study {record.name} is {failed.state.name}: only a failed trial is tried again"
            )
        trials = live.study.get_trials(deepcopy=False)
        known = next((trial.number for trial in trials if retry_of(trial) == number), None)
        if known is not None:
            raise StateConflictError(f"trial {number} of study {record.name} is tried again already, as trial {known}")
        if record.n_trials >= MAX_TRIALS:
            raise StateConflictError(f"study {record.name} has {MAX_TRIALS} trials: it cannot have more")
        if record.state == "finished":
            _check_more_would_run(live, record)
        state: StudyState = "running" if record.state == "finished" else record.state
        _change_record(live, state, {"n_trials": record.n_trials + 1})
        again = live.enqueue(known_params(failed), retry_of=number)
    live.notify()
    return again


def enqueue_params(live: LiveStudy, params: Params, *, skip_if_exists: bool = False) -> tuple[int, bool]:
    """Add a trial with these parameters to the queue. Returns its number and True.

    With `skip_if_exists`, returns the number of a trial that has these parameters already, and False.

    Raises InvalidError, BudgetExhaustedError, NothingLeftError and StateConflictError.
    """
    with live.committed_change():
        live.tick()
        live.check_not_deleted()
        found = [*params_errors(live.definition, params), *unused_errors(live.definition, params)]
        if found:
            raise InvalidError([(f"params.{name}", text) for name, text in found])
        known = live.queue.find(params) if skip_if_exists else None
        if known is not None:
            return known, False
        if live.queue.n_created >= live.record.n_trials and live.final is not None:
            raise StateConflictError(f"study {live.record.name} is a final evaluation: its trials are all there")
        if live.queue.n_created >= live.record.n_trials:
            name, n_trials = live.record.name, live.record.n_trials
            way_on = _what_is_left(name) if live.queue.is_exhausted(n_trials + 1) else "extend n_trials first"
            raise BudgetExhaustedError(f"all {n_trials} trials of study {name} exist: {way_on}")
        if live.record.state == "finished":
            raise StateConflictError(
                f"study {live.record.name} has ended, more trials would not run: {live.record.finished_reason}"
            )
        return live.enqueue(params), True
