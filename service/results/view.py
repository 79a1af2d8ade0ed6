"""Studies and trials as clients see them."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial, TrialState

from service.errors import TrialNotFoundError
from service.results.ranking import best_trial
from service.sampling.constraints import violated
from service.sampling.paused import paused_at
from service.sampling.sampler_note import sampler_note
from service.schemas.optuna import utc
from service.schemas.results import Attempt, Metrics, Study, Trial, TrialCounts
from service.schemas.study.definition_fields import Params
from service.study.live_study import LiveStudy
from service.study.retried import retry_of
from storage import FIXED_PARAMS_ATTR, EpochRecord, LeaseRecord, ResultRecord, Store, trial_id_of

SECONDS_PER_HOUR = 3600


def study_view(live: LiveStudy, waits_for: str | None) -> Study:
    """A study with its trial counts and its best trial; `waits_for` says why no trial starts, if that is so."""
    record, store, used = live.record, live.store, live.end.used
    counts = {state.name: store.optuna.get_n_trials(record.study_id, state) for state in TrialState}
    best = best_trial(live)
    return Study(
        name=record.name,
        final_of=None if live.final is None else store.study(live.final.study_id).name,
        state=record.state,
        state_reason=record.state_reason or record.finished_reason,
        n_imported=sum(known.n_trials for known in store.imports.of_study(record.study_id)),
        definition=live.present_definition,
        trial_counts=TrialCounts(**counts),
        best=None if best is None else trial_views(live, [best])[0],
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        finished_reason=record.finished_reason,
        waits_for=waits_for,
        data=live.data,
        sampler_note=sampler_note(live.definition, live.queue.suggestions.failures),
        trials_per_hour=_trials_per_hour(live, counts),
        epochs_trained=None if used.epochs is None else used.epochs.n,
        device_hours=None if used.devices is None else used.devices.hours(live.clock.now()),
    )


def study_view_unless_deleted(
    live: LiveStudy,
    waits_for: Callable[[LiveStudy], str | None],
    history_of: Callable[[LiveStudy], list[float]] | None = None,
) -> Study | None:
    """Return `study_view`, with a history if one is asked for; None for a study that is deleted while it is read."""
    try:
        view = study_view(live, waits_for(live))
        view.history = None if history_of is None else history_of(live)
        return view
    except KeyError:
        if live.was_deleted():
            return None
        raise


def _trials_per_hour(live: LiveStudy, counts: dict[str, int]) -> float | None:
    """Finished trials of the study per hour since its start; None before the first one has finished."""
    finished = sum(counts[state.name] for state in TrialState if state.is_finished())
    if live.record.started_at is None or finished == 0:
        return None
    seconds = ((live.record.finished_at or live.clock.now()) - live.record.started_at).total_seconds()
    return finished / seconds * SECONDS_PER_HOUR if seconds > 0 else None


def find_trial(live: LiveStudy, number: int) -> FrozenTrial:
    """Return a trial by its number. Raises TrialNotFoundError."""
    try:
        trial_id = live.store.optuna.get_trial_id_from_study_id_trial_number(live.record.study_id, number)
    except KeyError as error:
        raise TrialNotFoundError(f"study {live.record.name} has no trial {number}") from error
    return live.store.optuna.get_trial(trial_id)


def metrics_of(live: LiveStudy, trials: Sequence[FrozenTrial]) -> list[Metrics]:
    """The metrics of trials, in the given order: the last reported ones, and over these the final ones."""
    store, ids = live.store, [trial_id_of(trial) for trial in trials]
    last = {epoch.trial_id: epoch.metrics for epoch in store.last_epochs(ids)}
    final = {result.trial_id: result.metrics for result in store.results(ids)}
    return [{**last.get(trial_id, {}), **final.get(trial_id, {})} for trial_id in ids]


def trial_views(live: LiveStudy, trials: Sequence[FrozenTrial]) -> list[Trial]:
    """Trials with their metrics and attempts, in the given order."""
    store, ids = live.store, [trial_id_of(trial) for trial in trials]
    last = {epoch.trial_id: epoch for epoch in store.last_epochs(ids)}
    results = {result.trial_id: result for result in store.results(ids)}
    attempts: defaultdict[int, list[LeaseRecord]] = defaultdict(list)
    for lease in store.leases.of_trials(ids):
        attempts[lease.trial_id].append(lease)
    return [
        _trial_view(live, trial, last.get(trial_id), results.get(trial_id), attempts[trial_id])
        for trial_id, trial in zip(ids, trials, strict=True)
    ]


def _trial_view(
    live: LiveStudy,
    trial: FrozenTrial,
    last: EpochRecord | None,
    result: ResultRecord | None,
    leases: Sequence[LeaseRecord],
) -> Trial:
    started = leases[0].granted_at if leases else utc(trial.datetime_start)
    finished = utc(trial.datetime_complete)
    if leases and finished is not None:  # our own clock: Optuna's times are local, without a zone
        finished = leases[-1].ended_at
    return Trial(
        study=live.record.name,
        number=trial.number,
        state=trial.state.name,
        params=trial.params or trial.system_attrs.get(FIXED_PARAMS_ATTR, {}),
        unused_params=_unused(trial),
        values=list(trial.values) if trial.state == TrialState.COMPLETE else None,
        metrics={**(last.metrics if last else {}), **(result.metrics if result else {})},
        constraints=trial.constraints,
        violated=violated(trial),
        paused_at_rung=paused_at(trial),
        retry_of=retry_of(trial),
        user_attrs=trial.user_attrs,
        step=last.step if last else None,
        attempts=[_attempt(lease) for lease in leases],
        n_attempts=live.store.leases.n_of_trial(trial_id_of(trial)),
        reason=result.reason if result else None,
        worker=leases[-1].worker_id if leases else None,
        started_at=started,
        finished_at=finished,
        duration_seconds=max(0.0, (finished - started).total_seconds()) if started and finished else None,
    )


def _unused(trial: FrozenTrial) -> Params:
    """The values that a complete or pruned trial was enqueued with and has no parameter for."""
    fixed: Params = trial.system_attrs.get(FIXED_PARAMS_ATTR, {}) if trial.system_attrs else {}
    is_ended = bool(fixed) and trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return {name: value for name, value in fixed.items() if name not in trial.params} if is_ended else {}


def attempts_of(store: Store, trial_id: int) -> list[Attempt]:
    """The attempts at a trial that are in memory, which are its leases, oldest first."""
    return [_attempt(lease) for lease in store.leases.of_trials([trial_id])]


def _attempt(lease: LeaseRecord) -> Attempt:
    return Attempt(
        attempt=lease.attempt,
        lease_id=lease.lease_id,
        worker=lease.worker_id,
        started_at=lease.granted_at,
        ended_at=lease.ended_at,
        outcome=lease.outcome,
        reason=lease.reason,
    )
