"""Claims in, leases out: trials are sampled without the study's lock, and granted with it."""

import secrets
from collections.abc import Sequence
from concurrent.futures import Future

from optuna.trial import FrozenTrial

from service.final_trials import final_fields, seed_of
from service.lease_ends import changing
from service.live_study import LiveStudy
from service.schemas.definition import Params
from service.schemas.protocol import Claim, Lease
from service.schemas.resolve import resolve
from service.schemas.training import Training
from service.schemas.user_training import UserTraining
from service.trial_queue import PreparedTrial
from storage import LeaseRecord, WorkerRecord


def grant(live: LiveStudy, claim: Claim, n_trials: int) -> tuple[list[Lease], Future[None]]:
    """Grant up to so many trials. Their leases are in the database once the future is done."""
    while True:
        with changing(live) as committed:
            may_start = live.may_start()
            lacking, n_new = _to_sample(live, n_trials) if may_start else ([], 0)
            leases = _granted(live, claim, n_trials) if may_start and not (lacking or n_new) else []
        if not (lacking or n_new):
            live.want_suggestions()
            return leases, committed
        _sample(live, lacking, n_new)


def has_quick_sampler(live: LiveStudy) -> bool:
    """Whether its sampler takes no more time than the rest of a claim."""
    return live.queue.suggestions.is_quick


def _to_sample(live: LiveStudy, n_trials: int) -> tuple[list[FrozenTrial], int]:
    return live.queue.to_sample(n_trials, live.n_trials_now, len(live.leases))


def _sample(live: LiveStudy, lacking: Sequence[FrozenTrial], n_new: int) -> None:
    """Ask the sampler, while others work on the study."""
    try:
        for trial in lacking:
            live.queue.suggestions.sample_rest(trial)
        live.queue.suggestions.sample_new(n_new)
    except KeyError:
        if not live.deleted:  # else the study has gone meanwhile
            raise


# Ahead of claims


def wants_suggestions(live: LiveStudy) -> bool:
    """Whether something should be sampled ahead of the next claims."""
    with live.lock:
        return _n_ahead(live) > 0


def prepare(live: LiveStudy) -> bool:
    """Sample one suggestion ahead of the next claims; whether there was one to sample."""
    with live.lock:
        n_ahead = _n_ahead(live)
        n_ready = live.queue.suggestions.n_ready(len(live.leases))
    if n_ahead > 0:
        _sample(live, [], min(n_ahead, n_ready + 1))
    return n_ahead > 0


def _n_ahead(live: LiveStudy) -> int:
    """How many suggestions should be ready; 0 when enough are."""
    if not live.may_start():
        return 0
    n_running = len(live.leases)
    n_new = min(live.queue.suggestions.depth(n_running), live.queue.n_new(live.n_trials_now))
    return n_new if live.queue.suggestions.n_ready(n_running) < n_new else 0


# Granting


def _granted(live: LiveStudy, claim: Claim, n_trials: int) -> list[Lease]:
    taken: list[PreparedTrial] = []
    try:
        like = _params_at_hand(live, claim.worker.id)
        while len(taken) < n_trials and (trial := _next_trial(live, like)) is not None:
            taken.append(trial)
            like = like or trial.params
        records = [_lease_record(live, trial, claim) for trial in taken]
        if records:
            _keep(live, records, claim)
    except BaseException:
        for trial in reversed(taken):
            live.queue.put_back(trial.trial_id)
        raise
    granted = list(zip(records, taken, strict=True))
    for record, trial in granted:
        live.news.trial_started(record, trial.params)
    return [granted_lease(live, record, trial.params) for record, trial in granted]


def _params_at_hand(live: LiveStudy, worker_id: str) -> Params | None:
    """The parameters of a trial that the worker is training, so that others can train together with it."""
    if not live.queue.mixes_shapes:
        return None
    mine = next((record for record in live.leases if record.worker_id == worker_id), None)
    return None if mine is None else live.store.optuna.get_trial(mine.trial_id).params


def _next_trial(live: LiveStudy, like: Params | None) -> PreparedTrial | None:
    n_known = live.queue.n_created
    trial = live.queue.next(live.n_trials_now, like)
    for number in range(n_known, live.queue.n_created):
        live.news.trial_created(number)
    return trial


def _keep(live: LiveStudy, records: Sequence[LeaseRecord], claim: Claim) -> None:
    now = live.clock.now()
    worker = WorkerRecord(claim.worker.id, claim.worker.host, claim.worker.device, claim.worker.n_lanes, now, now)
    if live.record.started_at is None:
        live.record = live.store.change_study(live.record, started_at=now)
    live.store.grant(records, worker)
    for record in records:
        live.leases.add(record)


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
    """How many attempts at a trial have ended; a release does not count."""
    earlier = live.store.leases_of_trials([trial_id])
    return sum(lease.outcome in ("expire", "fail") for lease in earlier)


def granted_lease(live: LiveStudy, record: LeaseRecord, params: Params) -> Lease:
    """An open lease as the worker sees it."""
    training = live.definition.training
    if isinstance(training, Training):
        training = Training.model_validate(resolve(live.fixed, params))
    lease = Lease(
        lease_id=record.lease_id,
        study=live.record.name,
        trial_number=record.trial_number,
        attempt=record.attempt,
        params=params,
        training=training,
        seed=seed_of(live, record.trial_number),
        resume=live.resume(record.trial_id),
        expires_in_seconds=live.leases.remaining_seconds(record.lease_id),
    )
    if isinstance(training, UserTraining):
        noted = live.store.optuna.get_trial(record.trial_id).user_attrs
        return lease.model_copy(update={"objectives": live.definition.objectives, "user_attrs": noted})
    others = final_fields(live, record.trial_number, training)
    return lease.model_copy(update=others) if others else lease
