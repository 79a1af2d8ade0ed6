"""Claims across studies: which studies a worker's trials come from."""

from concurrent.futures import Future
from contextlib import ExitStack
from threading import Lock

from service.leases.grants import grant, granted_lease, has_quick_sampler
from service.registry.registry import Registry
from service.schemas.protocol import Claim, Lease
from service.schemas.study.entrypoints import is_allowed
from service.study.live_study import LiveStudy

Granted = tuple[list[Lease], list[Future[None]]]
"""An answer, which holds once the futures are done."""


def claim_trials(registry: Registry, claim: Claim) -> Granted:
    """Answer a claim at once, with trials of the studies with the fewest open leases first.

    Raises StudyNotFoundError when the claim names a study that is not there.
    """
    if claim.study is not None:
        registry.get(claim.study)
    with _claim_lock(registry, claim):
        repeated = _repeated(registry, claim)
        return (repeated, []) if repeated else _granted(registry, claim)


def quick_study(registry: Registry, claim: Claim) -> LiveStudy | None:
    """The study that a new claim is answered from, if memory alone is touched and no sampler takes its time."""
    live = _only_running(registry, claim)
    if live is None or live.final is not None or live.definition.entrypoints or not has_quick_sampler(live):
        return None
    return None if registry.store.leases.of_claim(claim.claim_id) else live


def claim_at_once(registry: Registry, live: LiveStudy, claim: Claim) -> Granted | None:
    """As `claim_trials`, from a quick study; None while another thread works on it."""
    with ExitStack() as held:
        for lock in (_claim_lock(registry, claim), live.lock):
            if not lock.acquire(blocking=False):
                return None
            held.callback(lock.release)
        if live.queue.suggestions.is_sampling or registry.store.leases.of_claim(claim.claim_id):
            return None
        granted, committed = grant(live, claim, claim.max_trials)
    return granted, [committed]


def _claim_lock(registry: Registry, claim: Claim) -> Lock:
    """Held while a claim is answered, so that the same claim sent twice is answered once."""
    return registry.claim_locks[hash(claim.claim_id) % len(registry.claim_locks)]


def _only_running(registry: Registry, claim: Claim) -> LiveStudy | None:
    running = _running(registry, claim)
    return running[0] if len(running) == 1 else None


def _running(registry: Registry, claim: Claim) -> list[LiveStudy]:
    """Running studies this claim may be served from.

    A claim for one study also covers the studies of its final evaluations.
    """
    asked = registry.every()
    if claim.study is not None:
        live = registry.find(claim.study)
        asked = [] if live is None else [live, *registry.linked_to(live)]
    return [live for live in asked if live.record.state == "running" and _is_for(live, claim)]


def _granted(registry: Registry, claim: Claim) -> Granted:
    leases: list[Lease] = []
    waiting = []
    for live in sorted(_running(registry, claim), key=lambda live: len(live.leases)):
        alone = bool(live.definition.entrypoints)
        if alone and leases:
            continue
        granted, committed = grant(live, claim, 1 if alone else claim.max_trials - len(leases))
        leases += granted
        waiting.append(committed)
        if len(leases) >= claim.max_trials or (alone and granted):
            break
    return leases, waiting


def _repeated(registry: Registry, claim: Claim) -> list[Lease]:
    """The answer that this claim had before. Leases that have ended since are in it with no time left."""
    answer = []
    store = registry.store
    known = store.leases.of_claim(claim.claim_id)
    if known:
        store.optuna.commits.barrier()  # the first answer may not have been given for want of the database
    for record in known:
        live = registry.by_id(record.study_id)
        if live is not None:
            answer.append(granted_lease(live, record, store.optuna.get_trial(record.trial_id).params))
    return answer


def _is_for(live: LiveStudy, claim: Claim) -> bool:
    """Whether the worker runs a study's entrypoints, if it has any."""
    return all(is_allowed(entrypoint, claim.allow) for entrypoint in live.definition.entrypoints)
