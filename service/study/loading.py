"""Load a study from the database, and requeue the trials that a crash left without a lease."""

from collections.abc import Callable
from functools import partial

from optuna.trial import FrozenTrial, TrialState

from service.clock import Clock
from service.pruning.promotion import promotion_of
from service.pruning.pruners import build_pruner
from service.sampling.ask import ServiceStudy
from service.sampling.configurations import first_configurations
from service.sampling.constraints import is_feasible
from service.sampling.custom.custom_samplers import CustomSamplers
from service.sampling.paused import paused_at
from service.sampling.samplers import build_sampler, chosen_sampler
from service.schemas.artifacts import CHECKPOINT
from service.schemas.study.default_pruner import KILLING
from service.schemas.study.definition import Definition
from service.study.live_study import LiveStudy
from service.study.open_leases import OpenLeases
from service.study.trial_queue import TrialQueue
from service.study.used_budget import UsedBudget
from storage import LeaseRecord, Store, StudyRecord, name_metrics, trial_id_of


def stored_definition(record: StudyRecord) -> Definition:
    """The definition of a study. Versions that did not store the default pruner had none that promotes."""
    definition = Definition.model_validate(record.definition)
    if definition.has_default_pruner and definition.promotes:
        return Definition.model_validate({**record.definition, "pruner": KILLING})
    return definition


def load_study(
    store: Store,
    clock: Clock,
    record: StudyRecord,
    open_leases: OpenLeases,
    notify: Callable[[LiveStudy], None],
    wake: Callable[[], None],
    sampled: Callable[[str, float], None],
    tick: Callable[[LiveStudy], None],
    custom_samplers: CustomSamplers,
) -> LiveStudy:
    """Load a study as it was when the service stopped, however it stopped. Its open leases join `open_leases`.

    `sampled` is called with the name of the study's sampler and the seconds that a trial's parameters took. `notify`,
    `wake` and `tick` go to LiveStudy.
    """
    definition = stored_definition(record)
    name_metrics(store.optuna, record.study_id, [objective.metric for objective in definition.objectives])
    trials = store.optuna.get_all_trials(record.study_id, deepcopy=False)
    make_sampler = partial(build_sampler, definition, custom=custom_samplers)
    study = ServiceStudy(record.name, store.optuna, make_sampler(len(trials)), build_pruner(definition.pruner))
    # A trial's open lease is its last one, even if the machine's clock was set back since.
    leases = sorted(store.leases.of_study(record.study_id), key=lambda lease: lease.ended_at is None)
    retries = _requeue_unleased(store, trials, leases)
    unfinished = {trial_id_of(trial) for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
    for lease in {lease.trial_id: lease for lease in leases}.values():  # the last one of each trial
        if lease.ended_at is None and lease.trial_id in unfinished:
            checkpoint = store.artifacts.get(lease.trial_id, CHECKPOINT)
            checkpoint_step = None if checkpoint is None else checkpoint.step
            open_leases.add(lease, store.every_epoch(lease.trial_id), checkpoint_step=checkpoint_step)
    waiting = {trial_id_of(trial) for trial in trials if not trial.state.is_finished()} & {
        one.trial_id for one in leases
    }
    for epoch in store.last_epochs(sorted(waiting - {lease.trial_id for lease in open_leases})):
        open_leases.add_earlier(epoch)
    time_sampling = partial(sampled, chosen_sampler(definition).name)
    queue = TrialQueue(study, definition, retries, time_sampling, promotion_of(study, definition))
    live = LiveStudy(store, clock, record, definition, study, queue, open_leases, make_sampler, notify, wake, tick)
    live.failures.replay(leases, record.resumed_at, live.max_failures_in_a_row)
    if live.final is not None:
        results = store.results([trial_id_of(trial) for trial in trials if trial.state.is_finished()])
        live.final_metrics = {result.trial_id: result.metrics for result in results}
    for trial in trials:
        live.note_user_attrs(trial.user_attrs)
    live.learn_from_imports()
    if live.rounds.latest is not None:
        live.sample_from(live.rounds.latest)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if is_feasible(trial):
            live.end.check_target(trial.number, trial.values)
    live.end.patience.replay(trials, leases)
    if definition.max_total_epochs is not None or definition.max_device_hours is not None:
        ids = [trial_id_of(trial) for trial in trials if not trial.state.is_finished()]
        reports = (epoch for trial_id in ids for epoch in store.every_epoch(trial_id))
        live.end.used = UsedBudget(definition, store.used(record.study_id), reports)
    if len(trials) < len(definition.enqueue):  # these are a study's first trials
        for params in first_configurations(definition)[len(trials) :]:
            with live.committed_change():
                live.enqueue(params)
    return live


def _requeue_unleased(store: Store, trials: list[FrozenTrial], leases: list[LeaseRecord]) -> list[int]:
    """Make running trials without an open lease WAITING; return the IDs of the trials to try again, in order."""
    leased = {lease.trial_id: lease for lease in leases}  # the last one of each trial
    retries = []
    with store.transaction():
        for trial in trials:
            lease = leased.get(trial_id_of(trial))
            if paused_at(trial) is not None:
                continue  # it waits for its promotion
            if trial.state == TrialState.RUNNING and (lease is None or lease.ended_at is not None):
                # Another program started it, or a claim failed before its lease was written. It keeps its parameters.
                store.optuna.set_trial_state_values(trial_id_of(trial), TrialState.WAITING)
                retries.append(trial_id_of(trial))
            elif trial.state == TrialState.WAITING and lease is not None:
                retries.append(trial_id_of(trial))
    return retries
