"""Claims in, leases out, across studies: which studies the trials for a worker come from."""

import logging
from concurrent.futures import Future
from contextlib import ExitStack
from threading import Lock

from service.errors import ServiceError
from service.leases.grants import grant_leases, has_quick_sampler, lease_for_worker
from service.registry.registry import NO_DATABASE, Registry
from service.schemas.protocol import Claim, Lease
from service.schemas.study.entrypoints import is_allowed
from service.study.live_study import LiveStudy

log = logging.getLogger(__name__)

Granted = tuple[list[Lease], list[Future[None]]]
"""The leases that answer a claim, and the commits after which the answer may be sent."""


def claim_trials(registry: Registry, claim: Claim) -> Granted:
    """Answer a claim without waiting for work. The studies with the fewest open leases come first.

    The same claim again gets the same leases. Raises StudyNotFoundError if the claim names an unknown study.
    """
    if claim.study is not None:
        registry.get(claim.study)
    with _claim_lock(registry, claim):
        repeated = _repeated(registry, claim)
        return (repeated, []) if repeated else _grant(registry, claim)


def quick_study(registry: Registry, claim: Claim) -> LiveStudy | None:
    """The only running study for a new claim, if its leases can be granted from memory and its sampler is quick."""
    live = _only_running(registry, claim)
    if live is None or live.final is not None or live.definition.entrypoints or not has_quick_sampler(live):
        return None
    return None if registry.store.leases.of_claim(claim.claim_id) else live


def claim_at_once(registry: Registry, live: LiveStudy, claim: Claim) -> Granted | None:
    """Answer a claim from a quick study. None if another thread works on the study or on the same claim."""
    with ExitStack() as held:
        for lock in (_claim_lock(registry, claim), live.lock):
            if not lock.acquire(blocking=False):
                return None
            held.callback(lock.release)
        if live.queue.suggestions.is_sampling or registry.store.leases.of_claim(claim.claim_id):
            return None
        return _grant_of(live, claim, claim.max_trials)


def _claim_lock(registry: Registry, claim: Claim) -> Lock:
    """The lock to hold while a claim is answered, so that the same claim sent twice gets one answer."""
    return registry.claim_locks[hash(claim.claim_id) % len(registry.claim_locks)]


def _only_running(registry: Registry, claim: Claim) -> LiveStudy | None:
    running = _running(registry, claim)
    return running[0] if len(running) == 1 else None


def _running(registry: Registry, claim: Claim) -> list[LiveStudy]:
    """Running studies this claim may be served from; one that just failed to make a trial is left alone for a while.

    A claim for one study also covers the studies of its final evaluations.
    """
    studies = registry.every()
    if claim.study is not None:
        live = registry.find(claim.study)
        studies = [] if live is None else [live, *registry.linked_to(live)]
    return [
        live
        for live in studies
        if live.record.state == "running" and not live.grant_fault.is_recent and _is_for(live, claim)
    ]


def _grant(registry: Registry, claim: Claim) -> Granted:
    """Grant leases of several studies, or one lease of a study with entrypoints, whose trials run by themselves."""
    leases: list[Lease] = []
    commits: list[Future[None]] = []
    for live in sorted(_running(registry, claim), key=lambda live: len(live.leases)):
        runs_alone = bool(live.definition.entrypoints)
        if runs_alone and leases:
            continue
        granted, committed = _grant_of(live, claim, 1 if runs_alone else claim.max_trials - len(leases))
        leases += granted
        commits += committed
        if len(leases) >= claim.max_trials or (runs_alone and granted):
            break
    return leases, commits


def _grant_of(live: LiveStudy, claim: Claim, n_trials: int) -> Granted:
    """Grant leases of one study. An error of this study is logged and noted in it: other studies are claimed from."""
    try:
        leases, committed = grant_leases(live, claim, n_trials)
    except (*NO_DATABASE, ServiceError):
        raise
    except Exception as error:
        log.exception("study %s cannot give out a trial", live.record.name)
        live.grant_fault.note(error)
        return [], []
    live.grant_fault.clear()
    return leases, [committed]


def _repeated(registry: Registry, claim: Claim) -> list[Lease]:
    """The leases that this claim was answered with before; those that have ended since have no time left."""
    leases = []
    store = registry.store
    known = store.leases.of_claim(claim.claim_id)
    if known:
        store.optuna.commits.barrier()  # the leases may not be in the database yet
    for record in known:
        live = registry.by_id(record.study_id)
        if live is not None:
            leases.append(lease_for_worker(live, record, store.optuna.get_trial(record.trial_id).params))
    return leases


def _is_for(live: LiveStudy, claim: Claim) -> bool:
    """Whether the worker wants trials of a study, may have them, and allows all its entrypoints, if it has any."""
    if live.record.name in claim.except_studies or live.failures.is_stopped(claim.worker.id):
        return False
    return all(is_allowed(entrypoint, claim.allow) for entrypoint in live.definition.entrypoints)
