"""Bring a study to life from the database, and mend what a crash cut short."""

from collections.abc import Callable
from datetime import UTC, datetime

from optuna.trial import FrozenTrial, TrialState

from service.clock import Clock
from service.lease_book import LeaseBook
from service.live_study import LiveStudy
from service.pruners import build_pruner
from service.samplers import build_sampler
from service.schemas.definition import Definition
from service.suggest import ServiceStudy
from service.trial_queue import TrialQueue
from storage import LeaseRecord, Store, StudyRecord


def load_study(
    store: Store, clock: Clock, record: StudyRecord, term_seconds: float, notify: Callable[[], None]
) -> LiveStudy:
    """A study as it was when the service stopped, however it stopped."""
    definition = Definition.model_validate(record.definition)
    trials = store.optuna.get_all_trials(record.study_id, deepcopy=False)
    study = ServiceStudy(
        record.name, store.optuna, build_sampler(definition, len(trials)), build_pruner(definition.pruner)
    )
    leases = store.leases_of_study(record.study_id)
    retries = _mend(store, study, trials, leases)
    book = LeaseBook(clock, term_seconds)
    unfinished = {trial._trial_id for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
    for lease in {lease.trial_id: lease for lease in leases}.values():  # the last one of each trial
        if lease.ended_at is None and lease.trial_id in unfinished:
            book.add(lease, store.epochs(lease.trial_id))
    live = LiveStudy(store, clock, record, definition, study, TrialQueue(study, definition, retries), book, notify)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        live.end.completed(trial.number, trial.values)
    for params in definition.enqueue[len(trials) :]:  # these are a study's first trials
        live.enqueue(params)
    return live


def _mend(store: Store, study: ServiceStudy, trials: list[FrozenTrial], leases: list[LeaseRecord]) -> list[int]:
    """Finish half-written ends and grants; answer the trials to try again, first to last."""
    results = {result.trial_id: result for result in store.results_of_study(study._study_id)}
    leased = {lease.trial_id: lease for lease in leases}  # the last one of each trial
    retries = []
    for trial in trials:
        trial_id, lease = trial._trial_id, leased.get(trial._trial_id)
        result = results.get(trial_id)
        if result is not None and not trial.state.is_finished():
            study.tell(trial.number, result.values, state=TrialState[result.state], skip_if_finished=True)
        elif trial.state == TrialState.RUNNING and (lease is None or lease.ended_at is not None):
            # Taken for a claim that was never answered: its parameters, if any, are kept.
            store.optuna.set_trial_state_values(trial_id, TrialState.WAITING)
            retries.append(trial_id)
        elif trial.state == TrialState.WAITING and lease is not None:
            if lease.ended_at is None:
                store.end_lease(lease.lease_id, "release", "WAITING", None, datetime.now(UTC))
            retries.append(trial_id)
    return retries
