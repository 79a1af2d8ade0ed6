"""Claims in, leases out: trials are sampled without the study's lock, and granted with it."""

import secrets
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from optuna.trial import FrozenTrial

from service.finals.trials import final_fields, seed_of
from service.schemas.protocol import Claim, Lease
from service.schemas.study.definition_fields import Params
from service.schemas.study.resolve import resolve
from service.schemas.study.training import Training
from service.schemas.study.user_training import AnyTraining, UserTraining
from service.study.ahead import sample
from service.study.live_study import LiveStudy
from service.study.trial_queue import PreparedTrial
from storage import LeaseRecord, WorkerRecord

ASKED_LATELY = timedelta(seconds=10)
"""Ago. Who has room for more trials asks every second or so."""


def grant(live: LiveStudy, claim: Claim, n_trials: int) -> tuple[list[Lease], Future[None]]:
    """Grant up to so many trials. Their leases are in the database once the future is done."""
    while True:
        with live.changing() as committed:
            may_start = live.may_start()
            if may_start and claim.fair:
                n_trials = min(n_trials, _fair_part(live, claim))
            lacking, n_new = _to_sample(live, n_trials) if may_start else ([], 0)
            leases = _granted(live, claim, n_trials) if may_start and not (lacking or n_new) else []
        if not (lacking or n_new):
            live.want_suggestions()
            return leases, committed
        sample(live, lacking, n_new)


def _fair_part(live: LiveStudy, claim: Claim) -> int:
    """How many more trials a worker may have, so that the last ones are divided by lanes among those who train.

    Who has many lanes would else take them all at the end of a study, while others run out of work. Who rests or has
    died, and so asks for no more, counts with what it has: nobody would train the rest of its part.
    """
    held = Counter(record.worker_id for record in live.leases)
    since = live.clock.now() - ASKED_LATELY
    lanes = {worker_id: _n_lanes_in_use(live, worker_id, n_held, since) for worker_id, n_held in held.items()}
    lanes[claim.worker.id] = claim.worker.n_lanes
    n_trials = len(live.leases) + live.queue.n_left(live.n_trials_now)
    part = -(-n_trials * lanes[claim.worker.id] // sum(lanes.values()))  # rounded up
    return max(0, part - held[claim.worker.id])


def _n_lanes_in_use(live: LiveStudy, worker_id: str, n_held: int, since: datetime) -> int:
    """A worker's lanes, but only as many as it has trials if it has not asked since then."""
    worker = live.store.workers.get(worker_id)
    n_lanes = 1 if worker is None else worker.n_lanes
    return n_lanes if worker is not None and worker.last_seen_at >= since else min(n_lanes, n_held)


def has_quick_sampler(live: LiveStudy) -> bool:
    """Whether its sampler takes no more time than the rest of a claim."""
    return live.queue.suggestions.is_quick


def _to_sample(live: LiveStudy, n_trials: int) -> tuple[list[FrozenTrial], int]:
    return live.queue.to_sample(n_trials, live.n_trials_now, len(live.leases))


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
    earlier = live.store.leases.of_trials([trial_id])
    return sum(lease.outcome in ("expire", "fail") for lease in earlier)


def rung_steps(live: LiveStudy, trial_id: int, training: AnyTraining) -> list[int]:
    """The steps after which a trial may pause: not the last one, after which there is nothing to wait for."""
    if live.promotion is None:
        return []
    steps = live.promotion.steps(live.store.optuna.get_trial(trial_id))
    return [step for step in steps if isinstance(training, UserTraining) or step + 1 < training.epochs]


def training_of(live: LiveStudy, params: Params) -> AnyTraining:
    """The training of a trial, its parameters put in; of an entrypoint it is the study's."""
    training = live.definition.training
    return Training.model_validate(resolve(live.fixed, params)) if isinstance(training, Training) else training


def granted_lease(live: LiveStudy, record: LeaseRecord, params: Params) -> Lease:
    """An open lease as the worker sees it."""
    training = training_of(live, params)
    lease = Lease(
        lease_id=record.lease_id,
        study=live.record.name,
        trial_number=record.trial_number,
        attempt=record.attempt,
        params=params,
        training=training,
        seed=seed_of(live, record.trial_number),
        resume=live.resume(record.trial_id),
        rung_steps=rung_steps(live, record.trial_id, training),
        expires_in_seconds=live.leases.remaining_seconds(record.lease_id),
    )
    if isinstance(training, UserTraining):
        noted = live.store.optuna.get_trial(record.trial_id).user_attrs
        prunes = live.definition.pruner.prunes
        update = {"objectives": live.definition.objectives, "prunes": prunes, "user_attrs": noted}
        return lease.model_copy(update=update)
    others = final_fields(live, record.trial_number, training)
    return lease.model_copy(update=others) if others else lease
