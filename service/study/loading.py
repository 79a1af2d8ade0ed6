"""Bring a study to life from the database, and mend what a crash cut short."""

from collections.abc import Callable
from functools import partial

from optuna.trial import FrozenTrial, TrialState

from service.clock import Clock
from service.pruning.promotion import promotion_of
from service.pruning.pruners import build_pruner
from service.sampling.ask import ServiceStudy
from service.sampling.configurations import first_configurations
from service.sampling.constraints import is_feasible
from service.sampling.paused import paused_at
from service.sampling.samplers import build_sampler, chosen_sampler
from service.schemas.study.definition import Definition
from service.study.live_study import LiveStudy
from service.study.open_leases import OpenLeases
from service.study.trial_queue import TrialQueue
from storage import LeaseRecord, Store, StudyRecord, trial_id_of


def load_study(
    store: Store,
    clock: Clock,
    record: StudyRecord,
    term_seconds: float,
    notify: Callable[[], None],
    wake: Callable[[], None],
    sampled: Callable[[str, float], None],
    tick: Callable[[LiveStudy], None],
) -> LiveStudy:
    """A study as it was when the service stopped, however it stopped."""
    definition = Definition.model_validate(record.definition)
    trials = store.optuna.get_all_trials(record.study_id, deepcopy=False)
    study = ServiceStudy(
        record.name, store.optuna, build_sampler(definition, len(trials)), build_pruner(definition.pruner)
    )
    # A trial's open lease is its last one, even if the machine's clock was set back since.
    leases = sorted(store.leases.of_study(record.study_id), key=lambda lease: lease.ended_at is None)
    retries = _mend(store, trials, leases)
    book = OpenLeases(clock, term_seconds)
    unfinished = {trial_id_of(trial) for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
    for lease in {lease.trial_id: lease for lease in leases}.values():  # the last one of each trial
        if lease.ended_at is None and lease.trial_id in unfinished:
            book.add(lease, store.epochs(lease.trial_id))
    told = partial(sampled, chosen_sampler(definition).name)
    queue = TrialQueue(study, definition, retries, told, promotion_of(study, definition))
    live = LiveStudy(store, clock, record, definition, study, queue, book, notify, wake, tick)
    live.learn_from_imports()
    if live.rounds.latest is not None:
        live.sample_from(live.rounds.latest)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if is_feasible(trial):
            live.end.completed(trial.number, trial.values)
    for params in first_configurations(definition)[len(trials) :]:  # these are a study's first trials
        with live.working():
            live.enqueue(params)
    return live


def _mend(store: Store, trials: list[FrozenTrial], leases: list[LeaseRecord]) -> list[int]:
    """Put back the trials that no open lease holds; answer the trials to try again, first to last."""
    leased = {lease.trial_id: lease for lease in leases}  # the last one of each trial
    retries = []
    with store.transaction():
        for trial in trials:
            lease = leased.get(trial_id_of(trial))
            if paused_at(trial) is not None:
                continue  # it waits for its promotion
            if trial.state == TrialState.RUNNING and (lease is None or lease.ended_at is not None):
                # Another program's, or one of a claim that failed: its parameters, if any, are kept.
                store.optuna.set_trial_state_values(trial_id_of(trial), TrialState.WAITING)
                retries.append(trial_id_of(trial))
            elif trial.state == TrialState.WAITING and lease is not None:
                retries.append(trial_id_of(trial))
    return retries
