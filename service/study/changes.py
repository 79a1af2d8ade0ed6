"""Pause, resume, stop and extend a study, and enqueue configurations."""

from typing import Any

from service.errors import BudgetExhaustedError, InvalidError, StateConflictError
from service.schemas.results import RequestedState, StudyChange, StudyState
from service.schemas.study.checks import params_errors
from service.schemas.study.definition_fields import Params
from service.schemas.study.enqueue_checks import unused_errors
from service.study.live_study import LiveStudy

ALLOWED_FROM: dict[RequestedState, tuple[StudyState, ...]] = {
    "paused": ("running", "paused"),
    "running": ("running", "paused", "stopped"),
    "stopped": ("running", "paused", "stopped"),
}
"""The states from which each state can be reached. A finished study can only be extended."""


def change_study(live: LiveStudy, change: StudyChange) -> None:
    """Apply a change whole or not at all. Raises InvalidError and StateConflictError."""
    with live.committed_change():
        live.tick()
        live.check_not_deleted()
        record = live.record
        if live.final is not None and (change.n_trials is not None or change.state == "stopped"):
            raise StateConflictError(
                f"study {record.name} is a final evaluation: it can be paused and resumed, no more"
            )
        if change.state is None and change.n_trials is None:
            raise InvalidError([("body", "state or n_trials must be given")])
        if change.n_trials is not None and change.n_trials <= record.n_trials:
            raise InvalidError(
                [("n_trials", f"n_trials must be larger than before: {change.n_trials} <= {record.n_trials}")]
            )
        state: StudyState = change.state or record.state
        if change.n_trials is not None and record.state == "finished":
            if live.stop_reason() is not None:
                raise StateConflictError(
                    f"study {record.name} has ended, more trials would not run: {live.stop_reason()}"
                )
            state = change.state or "running"
        elif change.state is not None and record.state not in ALLOWED_FROM[change.state]:
            raise StateConflictError(f"study {record.name} is {record.state}: it cannot become {change.state}")
        values: dict[str, Any] = {"state": state, "n_trials": change.n_trials or record.n_trials}
        if state == "stopped" and record.state != "stopped":
            values |= {"finished_at": live.clock.now(), "finished_reason": "stopped by a user"}
        if state in ("running", "paused") and record.state in ("finished", "stopped"):
            values |= {"finished_at": None, "finished_reason": None}
        if state != record.state:
            values["state_reason"] = None
        if change.state == "running" or (state == "running" and record.state != "running"):
            values["resumed_at"] = live.clock.now()
            live.forget_failures()
        live.record = live.store.change_study(record, **values)
        live.events.study_changed(record, live.record)
        live.tick()
    live.notify()


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
            raise BudgetExhaustedError(
                f"all {live.record.n_trials} trials of study {live.record.name} exist: extend n_trials first"
            )
        if live.record.state == "finished":
            raise StateConflictError(
                f"study {live.record.name} has ended, more trials would not run: {live.record.finished_reason}"
            )
        return live.enqueue(params), True
