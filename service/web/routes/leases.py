"""Routes that workers call: claims, reports, renewals, the ends of leases, and requests of running entrypoints."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from service.leases import define_by_run
from service.leases.claims import (
    Granted,
    claim_at_once,
    claim_trials,
    has_nothing,
    may_be_answered,
    not_allowed,
    quick_study,
)
from service.leases.ends import AttemptFailure, LeaseEnd, TrialCompletion, TrialPause, TrialPruning, TrialRelease
from service.leases.lease_operations import answer_reports, end_lease, extend_leases
from service.leases.lookup import Committed, are_in_memory, call_again_if_deleted, studies_of, try_lock
from service.registry.registry import Registry
from service.schemas.code_calls import (
    KnownConstraints,
    KnownUserAttrs,
    NewConstraints,
    NewUserAttrs,
    Suggest,
    Suggested,
)
from service.schemas.protocol import Claim, Claimed, Closed, Complete, Decisions, Fail, Reports
from service.schemas.renewals import Renew, Renewed
from service.study.call_costs import MAX_LEASES
from service.study.free_studies import attempts, until_free
from service.web.dependencies import LeaseIdPath, RegistryDependency
from service.web.long_calls import long_calls
from service.web.quick_route import QuickRoute

router = APIRouter(prefix="/v1", tags=["workers"], route_class=QuickRoute)

Answer = TypeVar("Answer")
QUICK_ATTEMPTS = 4
"""How often a claim of a quick study is attempted before it goes to a thread.

A thread costs as much as the call itself and delays the calls that arrive meanwhile, so that they would need threads.
"""
END_OF_LEASE: dict[str, Any] = {"response_description": "The state of the trial.", "response_model_exclude_none": True}
"""What the routes that end leases share."""


@router.post("/claims", name="claim", response_description="The granted leases.")
async def claim_leases(body: Claim, registry: RegistryDependency, request: Request) -> Claimed:
    """Claim trials to train.

    The call waits up to wait_seconds for a trial and answers with an empty list when there is none. It may be repeated:
    the same claim_id again gets the same leases. A claim for an unknown study answers 404 `study_not_found`.
    """
    registry.worker_allowances.note(body)
    registry.worker_times.note(body.worker)
    registry.note_left_out(body)
    leases, committed = await _look(registry, body)
    if not leases:  # granted leases record the contact themselves
        registry.note_worker(body)
    await registry.store.wait_all(committed)
    if not leases and body.wait_seconds > 0:
        leases, committed = await _wait_for_trials(registry, body, request)
        await registry.store.wait_all(committed)
    return Claimed(leases=leases, not_allowed=[] if leases else not_allowed(registry, body))


@router.post("/reports", name="report", response_description="A decision on each report.")
async def report_epochs(body: Reports, registry: RegistryDependency) -> Decisions:
    """Report epochs and get decisions.

    One call may report epochs of several trials; it stores all of them or none, and renews their leases. It may be
    repeated: the same step of a lease again gets the same decision. The same step with other metrics is refused with
    409 `report_conflict`. A lease that has expired or is unknown gets the decision `lost`.
    """
    lease_ids = [item.lease_id for item in body.reports]
    call = partial(answer_reports, registry, body.reports)
    return Decisions(
        decisions=await _durable(registry, "report", call, lease_ids, [item.step for item in body.reports])
    )


@router.post("/leases/renew", name="renew", response_description="The state of each lease.")
async def renew_leases(body: Renew, registry: RegistryDependency) -> Renewed:
    """Renew leases.

    Workers renew between reports that are far apart. The call may be repeated. A lease that has ended or is unknown is
    answered with `alive: false`.
    """
    call = partial(extend_leases, registry, body.lease_ids)
    return Renewed(leases=await _durable(registry, "renew", call, body.lease_ids))


@router.post("/leases/{lease_id}/complete", name="complete", **END_OF_LEASE)
async def complete_trial(lease_id: LeaseIdPath, body: Complete, registry: RegistryDependency) -> Closed:
    """Complete a trial.

    It was trained to its end; its results are stored and the lease ends. The call may be repeated with the same
    results. Other results, or a lease that has ended in another way, are refused with 409 `lease_closed`, an expired
    lease with 409 `lease_lost`, and a missing objective with 422.
    """
    return await _end(registry, lease_id, TrialCompletion(body.metrics, body.values))


@router.post("/leases/{lease_id}/fail", name="fail", **END_OF_LEASE)
async def fail_trial(lease_id: LeaseIdPath, body: Fail, registry: RegistryDependency) -> Closed:
    """Fail an attempt at a trial.

    With `retry` the trial returns to the queue while attempts are left; otherwise it ends as FAIL. The call may be
    repeated with the same reason. A lease that has ended in another way is refused with 409 `lease_closed`, an expired
    one with 409 `lease_lost`.
    """
    return await _end(registry, lease_id, AttemptFailure(body.reason, body.retry))


@router.post("/leases/{lease_id}/release", name="release", **END_OF_LEASE)
async def release_trial(lease_id: LeaseIdPath, registry: RegistryDependency) -> Closed:
    """Release a trial without an attempt.

    The trial goes to the front of the queue and resumes from its checkpoint, if it has one. The call may be repeated. A
    lease that has ended in another way is refused with 409 `lease_closed`, an expired one with 409 `lease_lost`.
    """
    return await _end(registry, lease_id, TrialRelease())


@router.post("/leases/{lease_id}/prune", name="prune", **END_OF_LEASE)
async def prune_trial(lease_id: LeaseIdPath, registry: RegistryDependency) -> Closed:
    """Prune a trial that its own code gave up.

    The code of the trial raised, for example, Optuna's TrialPruned. The call may be repeated. A lease that has ended in
    another way is refused with 409 `lease_closed`, an expired one with 409 `lease_lost`.
    """
    return await _end(registry, lease_id, TrialPruning())


@router.post("/leases/{lease_id}/pause", name="pause", **END_OF_LEASE)
async def pause_trial(lease_id: LeaseIdPath, registry: RegistryDependency) -> Closed:
    """Pause a trial at its rung.

    A decision told the worker to do so, and it has uploaded a checkpoint; without that checkpoint the trial is pruned.
    The call may be repeated. A trial that was not told to pause is refused with 409 `state_conflict`, a lease that has
    ended in another way with 409 `lease_closed`, an expired one with 409 `lease_lost`.
    """
    return await _end(registry, lease_id, TrialPause())


@router.post("/leases/{lease_id}/suggest", name="suggest", response_description="The value of the parameter.")
async def suggest_parameter(
    lease_id: LeaseIdPath, body: Suggest, registry: RegistryDependency, request: Request
) -> Suggested:
    """Suggest a parameter to a running entrypoint.

    The first call samples a value; every further call of the trial for this name gets the same value. A distribution
    that does not fit the one known for this name is refused with 409 `distribution_conflict`.
    """
    # Sampling may take long, so it runs in threads of its own, a limited number.
    call = partial(define_by_run.suggest_param, registry, lease_id, body)
    studies = studies_of(registry, [lease_id])
    again = partial(call_again_if_deleted, studies, call)
    await until_free(studies)
    is_apart = any(live.queue.suggestions.is_apart for live in studies)
    limiter = request.app.state.waiting_threads if is_apart else request.app.state.sampling_threads
    value, committed = await to_thread.run_sync(again, limiter=limiter)
    await registry.store.wait_all(committed)
    return Suggested(value=value)


@router.post(
    "/leases/{lease_id}/user-attrs", name="set_user_attrs", response_description="All user attributes of the trial."
)
async def set_trial_attributes(
    lease_id: LeaseIdPath, body: NewUserAttrs, registry: RegistryDependency
) -> KnownUserAttrs:
    """Set user attributes of a trial.

    It works as Optuna's set_user_attr: the given attributes are added or replaced, so the call may be repeated. Too
    many or too large attributes are refused with 422.
    """
    call = partial(define_by_run.save_user_attrs, registry, lease_id, body.user_attrs)
    return KnownUserAttrs(user_attrs=await _durable(registry, "note", call, [lease_id]))


@router.post(
    "/leases/{lease_id}/constraints", name="set_constraints", response_description="All constraint values of the trial."
)
async def set_trial_constraints(
    lease_id: LeaseIdPath, body: NewConstraints, registry: RegistryDependency
) -> KnownConstraints:
    """Set constraint values of a trial.

    It works as Optuna's set_constraint: a constraint is violated while its value is above 0. The call may be repeated.
    """
    call = partial(define_by_run.save_constraint_values, registry, lease_id, body.constraints)
    return KnownConstraints(constraints=await _durable(registry, "note", call, [lease_id]))


async def _wait_for_trials(registry: Registry, body: Claim, request: Request) -> Granted:
    """The answer to a claim that has found no trial, which may be empty."""
    loop, claims = asyncio.get_running_loop(), registry.waiting_claims
    deadline = loop.time() + body.wait_seconds
    with claims.entered(body) as waiting:
        while True:
            claims.begin_look(waiting)
            leases, committed = await _look(registry, body)
            remaining = deadline - loop.time()
            if leases or remaining <= 0 or claims.closed:
                return leases, committed
            claims.hand_on(waiting)
            await registry.store.wait_all(committed)
            await waiting.wait(remaining)
            if await request.is_disconnected():  # nobody would train the trial until its lease expires
                return [], []


async def _look(registry: Registry, body: Claim) -> Granted:
    """The answer to a claim as the studies are now: on the event loop if it needs only memory and little time."""
    async for n_before in attempts():
        if has_nothing(registry, body):
            return [], []
        live = quick_study(registry, body)
        answer = None if live is None else claim_at_once(registry, live, body)
        if answer is not None:
            return answer
        if (live is None or n_before >= QUICK_ATTEMPTS) and may_be_answered(registry, body):
            break
    return await long_calls().run_claim(partial(claim_trials, registry, body), is_long=body.max_trials > MAX_LEASES)


async def _end(registry: Registry, lease_id: str, end: LeaseEnd) -> Closed:
    call = partial(end_lease, registry, lease_id, end)
    return await _durable(registry, "end", call, [lease_id])


async def _durable(
    registry: Registry,
    kind: str,
    call: Callable[[], tuple[Answer, Committed]],
    lease_ids: Sequence[str],
    steps: Sequence[int] = (),
) -> Answer:
    """Make a call and return its answer once everything that it wrote is committed.

    A call that needs only memory and little time is made on the event loop, any other in a thread. While another thread
    works on one of its studies, the call waits on the event loop: it holds no thread that others may need.
    """
    studies = studies_of(registry, lease_ids)

    def measured_call() -> tuple[Answer, Committed]:
        started = time.thread_time()
        answer = call_again_if_deleted(studies, call)
        seconds = time.thread_time() - started
        for live in studies:
            live.costs.note(kind, len(lease_ids), seconds)
        return answer

    async for _ in attempts():
        fits = all(live.fits_turn(kind, len(lease_ids)) for live in studies)
        if not fits and long_calls().are_busy(studies):
            continue
        with try_lock(studies) as are_free:
            in_memory = are_free and are_in_memory(registry, lease_ids, steps)
            if in_memory and fits:
                answer, committed = measured_call()
                break
        if in_memory:
            answer, committed = await long_calls().run(studies, measured_call)
            break
        if are_free:
            answer, committed = await run_in_threadpool(call_again_if_deleted, studies, call)
            break
    await registry.store.wait_all(committed)
    return answer
