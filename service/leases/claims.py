"""Claims in, leases out, across studies: which studies the trials for a worker come from."""

import logging
import time
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache
from threading import Lock

from service.errors import ServiceError
from service.leases.grants import grant_leases, has_quick_sampler, lease_for_worker
from service.registry.registry import NO_DATABASE, Registry
from service.schemas.protocol import Claim, Lease
from service.schemas.study.devices import share_of, whole
from service.schemas.study.training import Training
from service.schemas.worker_info import WorkerInfo
from service.study.call_costs import MAX_LEASES
from service.study.live_study import LiveStudy

log = logging.getLogger(__name__)

MAX_ROWS = 600
"""How many rows the trials that are granted at a time add to the database. Other calls' commits wait for them."""
MAX_FLAGS = 5
TINY = 1e-9
"""Of a share like 1/3, which is rounded in a claim."""
CLAIM = "claim"
"""The kind of a claim among the calls whose costs are measured."""

Granted = tuple[list[Lease], list[Future[None]]]
"""The leases that answer a claim, and the commits after which the answer may be sent."""


def claim_trials(registry: Registry, claim: Claim) -> Granted:
    """Answer a claim without waiting for work. The same claim again gets the same leases.

    Raises StudyNotFoundError if the claim names an unknown study.
    """
    if claim.study is not None:
        registry.get(claim.study)
    with _claim_lock(registry, claim):
        repeated = _repeated(registry, claim)
        return (repeated, []) if repeated else _grant(registry, claim)


def has_nothing(registry: Registry, claim: Claim) -> bool:
    """Whether a new claim gets no trial, because no running study is one for it."""
    if claim.study is not None and registry.find(claim.study) is None:
        return False
    return not _running(registry, claim) and not registry.store.leases.of_claim(claim.claim_id)


def not_allowed(registry: Registry, claim: Claim) -> list[str]:
    """The flags that a worker needs for trials that can start and that it does not allow, at most MAX_FLAGS."""
    studies = registry.every() if claim.study is None else [live for live in (registry.find(claim.study),) if live]
    flags = set()
    for live in studies:
        if live.record.state != "running" or live.needs.are_met(claim.allowance):
            continue
        if not live.queue.is_empty(live.n_trials_now):
            flags.add(live.needs.flags())
    return sorted(flags)[:MAX_FLAGS]


def quick_study(registry: Registry, claim: Claim) -> LiveStudy | None:
    """The only running study for a new claim that fits one turn of the event loop; None if there is none.

    The leases can be granted from memory and the study's sampler is quick.
    """
    live = _only_running(registry, claim)
    if live is None or not live.needs.is_empty or not has_quick_sampler(live):
        return None
    if claim.max_trials > _n_at_a_time(live) or not live.fits_turn(CLAIM, claim.max_trials):
        return None
    return None if registry.store.leases.of_claim(claim.claim_id) else live


def may_be_answered(registry: Registry, claim: Claim) -> bool:
    """Whether other threads do not work on all running studies for a claim."""
    running = _running(registry, claim)
    return not running or any(live.lock.is_free for live in running)


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

    A claim for one study also covers the studies of its final evaluations. A claim with little room gets nothing if
    its worker would begin another study first, were it idle, whose trials need more room.
    """
    studies = registry.every()
    if claim.study is not None:
        live = registry.find(claim.study)
        studies = [] if live is None else [live, *registry.linked_to(live)]
    allows = cache(lambda needs: needs.are_met(claim.allowance))
    wanted = [
        live
        for live in studies
        if live.record.state == "running"
        and allows(live.needs)  # many studies have the same ones
        and not live.grant_fault.is_recent
        and _is_for(live, claim)
    ]
    if claim.room is None:
        return wanted
    ready = [live for live in wanted if not live.queue.is_empty(live.n_trials_now)]
    first = min(ready, key=lambda live: _order(live, claim.worker, of_others=True), default=None)
    if first is None or not _uses_at_most(first, claim.room):
        return []
    return [live for live in ready if _uses_at_most(live, claim.room)]


def _uses_at_most(live: LiveStudy, room: float) -> bool:
    """Whether the trials of a study are of users' code, and use at most this share of one device."""
    training = live.definition.training
    if isinstance(training, Training) or whole(training.devices) > 1:
        return False
    return share_of(training.devices) <= room + TINY


def _order(live: LiveStudy, worker: WorkerInfo, *, of_others: bool = False) -> tuple[bool, int]:
    """The studies that use the worker's devices as a group come first, then those with the fewest open leases.

    `of_others`: the worker's own leases do not count.
    """
    n_leases = len(live.leases)
    if of_others:
        n_leases = sum(record.worker_id != worker.id for record in live.leases)
    return live.needs.n_devices != worker.n_devices, n_leases


def _grant(registry: Registry, claim: Claim) -> Granted:
    """Grant leases of several studies, or one lease of a study with users' code, whose trials run by themselves.

    They come in their order, but those that another thread works on are last.
    """
    leases: list[Lease] = []
    commits: list[Future[None]] = []
    for live in sorted(
        _running(registry, claim), key=lambda live: (not live.lock.is_free, *_order(live, claim.worker))
    ):
        runs_alone = not live.needs.is_empty
        if runs_alone and leases:
            continue
        granted, committed = _grant_of(live, claim, 1 if runs_alone else claim.max_trials - len(leases))
        leases += granted
        commits += committed
        if len(leases) >= claim.max_trials or (runs_alone and granted):
            break
    return leases, commits


def _grant_of(live: LiveStudy, claim: Claim, n_trials: int) -> Granted:
    """Grant leases of one study, a few at a time: between them other calls may take the study's lock and commit.

    An error of this study is logged and noted in it: other studies are claimed from.
    """
    leases: list[Lease] = []
    commits: list[Future[None]] = []
    n_at_a_time = _n_at_a_time(live)
    n_more = min(n_trials, n_at_a_time)
    while n_more > 0:
        if len(commits) > 1:
            live.store.wait(commits[-2])
        started = time.thread_time()
        try:
            granted, committed = grant_leases(live, claim, n_more)
        except (*NO_DATABASE, ServiceError):
            raise
        except Exception as error:
            log.exception("study %s cannot give out a trial", live.record.name)
            live.grant_fault.note(error)
            return leases, commits
        if live.grant_fault.text is not None:
            live.grant_fault.clear()
            live.notify()  # until now, one waiting claim at a time has tried
        live.costs.note(CLAIM, len(granted), time.thread_time() - started)
        leases += granted
        commits.append(committed)
        n_more = min(n_trials - len(leases), n_at_a_time) if len(granted) == n_more else 0
    return leases, commits


def _n_at_a_time(live: LiveStudy) -> int:
    """How many trials of a study are granted at a time: a trial has a row, one for each parameter, and its lease."""
    n_rows = 2 + len(live.definition.search_space)
    return max(1, min(MAX_LEASES, MAX_ROWS // n_rows))


def _repeated(registry: Registry, claim: Claim) -> list[Lease]:
    """The leases that this claim was answered with before; those that have ended since have no time left."""
    leases = []
    store = registry.store
    known = store.leases.of_claim(claim.claim_id)
    if known:
        store.optuna.commits.barrier()  # the leases may not be in the database yet
    for record in known:
        live = registry.by_id(record.study_id)
        if live is None:
            continue
        try:
            leases.append(lease_for_worker(live, record, store.optuna.get_trial(record.trial_id).params))
        except KeyError:  # raised by Optuna when the study was deleted meanwhile
            if not live.was_deleted():
                raise
    return leases


def _is_for(live: LiveStudy, claim: Claim) -> bool:
    """Whether the worker wants trials of a study and may have them."""
    if live.record.name in claim.except_studies:
        return False
    return not live.failures.is_stopped(claim.worker.id, claim.worker.host)
