"""Claims in, leases out, in one study. Trials are sampled without the study's lock and granted under it."""

import secrets
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from optuna.trial import FrozenTrial

from service.finals.plan import confirmation_seed, plan_of
from service.finals.trials import final_fields
from service.registry.known_workers import record_of
from service.schemas.protocol import Claim, Lease
from service.schemas.study.definition_fields import Params
from service.schemas.study.resolve import resolve
from service.schemas.study.training import Training
from service.schemas.study.user_training import AnyTraining
from service.study.live_study import LiveStudy
from service.study.sampling_ahead import sample_params, wait_for_sampler
from service.study.seeds import trial_seed
from service.study.trial_queue import PreparedTrial
from storage import LeaseRecord

RECENT_CLAIM = timedelta(seconds=10)
"""A worker that has claimed within this time still wants trials: workers with free lanes poll every second."""


def grant_leases(live: LiveStudy, claim: Claim, n_trials: int) -> tuple[list[Lease], Future[None]]:
    """Grant leases of up to `n_trials` trials. They are in the database once the future is done."""
    has_waited = False
    while True:
        with live.deferred_change() as committed:
            may_start = live.may_start()
            if may_start and claim.fair:
                n_trials = min(n_trials, _fair_share(live, claim))
            lacking, n_new = _to_sample(live, n_trials) if may_start else ([], 0)
            is_ready = has_waited or not (lacking or n_new)
            leases = _lease_trials(live, claim, n_trials) if may_start and is_ready else []
        if is_ready:
            live.want_suggestions()
            return leases, committed
        if live.queue.suggestions.is_apart:
            wait_for_sampler(live, lacking, n_new)
            has_waited = True  # then it gets what is ready
        else:
            sample_params(live, lacking, n_new)


def _fair_share(live: LiveStudy, claim: Claim) -> int:
    """How many more trials a worker may have, if the remaining trials are shared among the workers by their lanes.

    Without this a worker with many lanes would take all remaining trials at the end of a study. A worker that stopped
    polling (idle or dead) is counted only with the trials it already holds, because it would not train more.
    """
    held = Counter(record.worker_id for record in live.leases)
    since = live.clock.now() - RECENT_CLAIM
    lanes = {worker_id: _n_lanes_in_use(live, worker_id, n_held, since) for worker_id, n_held in held.items()}
    lanes[claim.worker.id] = claim.worker.n_lanes
    n_trials = len(live.leases) + live.queue.n_left(live.n_trials_now)
    share = -(-n_trials * lanes[claim.worker.id] // sum(lanes.values()))  # rounded up
    return max(0, share - held[claim.worker.id])


def _n_lanes_in_use(live: LiveStudy, worker_id: str, n_held: int, since: datetime) -> int:
    """A worker's number of lanes; at most its number of trials if it has not claimed since then."""
    worker = live.store.workers.get(worker_id)
    n_lanes = 1 if worker is None else worker.n_lanes
    return n_lanes if worker is not None and worker.last_seen_at >= since else min(n_lanes, n_held)


def has_quick_sampler(live: LiveStudy) -> bool:
    """Whether the study's sampler takes no more time than the rest of a claim."""
    return live.queue.suggestions.is_quick


def _to_sample(live: LiveStudy, n_trials: int) -> tuple[list[FrozenTrial], int]:
    return live.queue.to_sample(n_trials, live.n_trials_now, len(live.leases))


def _lease_trials(live: LiveStudy, claim: Claim, n_trials: int) -> list[Lease]:
    trials: list[PreparedTrial] = []
    try:
        n_known = live.queue.n_created
        for trial in live.queue.next_trials(n_trials, live.n_trials_now, _params_in_training(live, claim.worker.id)):
            trials.append(trial)
            for number in range(n_known, live.queue.n_created):
                live.events.trial_created(number)
            n_known = live.queue.n_created
        records = [_lease_record(live, trial, claim) for trial in trials]
        if records:
            _save_leases(live, records, claim)
    except BaseException:
        for trial in reversed(trials):
            live.queue.put_back(trial.trial_id)
        raise
    granted = list(zip(records, trials, strict=True))
    for record, trial in granted:
        live.events.trial_started(record, trial.params)
    return [lease_for_worker(live, record, trial.params) for record, trial in granted]


def _params_in_training(live: LiveStudy, worker_id: str) -> Params | None:
    """The parameters of a trial that the worker trains already; new trials should be able to train together with it.

    None if it trains no trial of the study, or if all trials of the study can train together.
    """
    if not live.queue.mixes_fusion_keys:
        return None
    lease = next((record for record in live.leases if record.worker_id == worker_id), None)
    return None if lease is None else live.store.optuna.get_trial(lease.trial_id).params


def _save_leases(live: LiveStudy, records: Sequence[LeaseRecord], claim: Claim) -> None:
    now = live.clock.now()
    worker = record_of(claim.worker, now)
    if live.record.started_at is None:
        live.record = live.store.change_study(live.record, started_at=now)
    live.store.grant(records, worker)
    for record in records:
        live.end.used.start_lease(record)
        resume = live.resume(record.trial_id)
        live.leases.add(record, checkpoint_step=None if resume is None else resume.step)


def _lease_record(live: LiveStudy, trial: PreparedTrial, claim: Claim) -> LeaseRecord:
    return LeaseRecord(
        lease_id=secrets.token_hex(16),
        study_id=live.record.study_id,
        trial_id=trial.trial_id,
        trial_number=trial.number,
        attempt=1 + _n_attempts(live, trial.trial_id),
        claim_id=claim.claim_id,
        worker_id=claim.worker.id,
        granted_at=live.clock.now(),
    )


def _n_attempts(live: LiveStudy, trial_id: int) -> int:
    """How many attempts at a trial have ended. A released trial was not attempted."""
    known = live.store.leases.of_trials([trial_id])
    return max((lease.attempt - (lease.outcome not in ("expire", "fail")) for lease in known), default=0)


def rung_steps(live: LiveStudy, trial_id: int, training: AnyTraining) -> list[int]:
    """The steps after which a trial may pause. The last step of a training is none of them."""
    if live.promotion is None:
        return []
    steps = live.promotion.steps(live.store.optuna.get_trial(trial_id))
    return [step for step in steps if not isinstance(training, Training) or step + 1 < training.epochs]


def training_of(live: LiveStudy, params: Params) -> AnyTraining:
    """The study's training with a trial's parameters put in; that of an entrypoint or a command has no parameters."""
    training = live.definition.training
    return Training.model_validate(resolve(live.fixed, params)) if isinstance(training, Training) else training


def lease_for_worker(live: LiveStudy, record: LeaseRecord, params: Params) -> Lease:
    """The lease as the worker gets it, with everything it needs to train the trial."""
    training = training_of(live, params)
    lease = Lease(
        lease_id=record.lease_id,
        study=live.record.name,
        trial_number=record.trial_number,
        attempt=record.attempt,
        params=params,
        training=training,
        seed=_seed(live, record.trial_number),
        resume=live.resume(record.trial_id),
        rung_steps=rung_steps(live, record.trial_id, training),
        expires_in_seconds=live.leases.remaining_seconds(record.lease_id),
    )
    if not isinstance(training, Training):
        user_attrs = live.store.optuna.get_trial(record.trial_id).user_attrs
        prunes = live.definition.pruner.prunes
        update = {"objectives": live.definition.objectives, "prunes": prunes, "user_attrs": user_attrs}
        return lease.model_copy(update=update)
    update = final_fields(live, record.trial_number, training)
    return lease.model_copy(update=update) if update else lease


def _seed(live: LiveStudy, number: int) -> int:
    """The seed of a trial of a search or of a final evaluation."""
    seed, final = live.definition.training.seed, live.final
    return trial_seed(seed, number) if final is None else confirmation_seed(seed, final, plan_of(final), number)
