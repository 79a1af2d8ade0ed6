"""What workers call: claim, report, renew, and the three ways to end a lease."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from service.leases import calls as lease_calls
from service.leases import define_by_run
from service.leases.claims import Granted, claim_at_once, claim_trials, quick_study
from service.registry.registry import Registry
from service.schemas.protocol import (
    Claim,
    Claimed,
    Closed,
    Complete,
    Decisions,
    Fail,
    KnownConstraints,
    KnownUserAttrs,
    NewConstraints,
    NewUserAttrs,
    Renew,
    Renewed,
    Reports,
    Suggest,
    Suggested,
)
from service.web.dependencies import LeaseIdPath, RegistryDependency
from service.web.quick_route import QuickRoute

router = APIRouter(prefix="/v1", tags=["workers"], route_class=QuickRoute)


Answer = TypeVar("Answer")
PAUSES = (0.0005, 0.001, 0.002, 0.004)
"""Seconds to wait, time and again, for who works on a study. Only then a call goes to a thread, which costs as much as
the call, and holds up all that come meanwhile, so that they would go there too."""


@router.post("/claims")
async def claim(body: Claim, registry: RegistryDependency, request: Request) -> Claimed:
    """Ask for trials; waits up to wait_seconds for one. The same claim_id again gets the same leases."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + body.wait_seconds
    registry.allowances.note(body)
    has_been_seen = False
    while True:
        ticket = registry.signal.ticket()
        answer = await _claim_at_once(registry, body)
        leases, committed = answer if answer is not None else await run_in_threadpool(claim_trials, registry, body)
        if not leases and not has_been_seen:  # else it is written down with its leases
            registry.seen(body)
            has_been_seen = True
        await registry.store.committed(committed)
        remaining = deadline - loop.time()
        if leases or remaining <= 0 or registry.signal.closed:
            return Claimed(leases=leases)
        await registry.signal.wait(ticket, remaining)
        if await request.is_disconnected():  # a trial granted to nobody would wait out its lease
            return Claimed(leases=[])


@router.post("/reports")
async def report(body: Reports, registry: RegistryDependency) -> Decisions:
    """Report epochs of one or many trials. The same (lease_id, step) again gets the same decision."""
    lease_ids = [item.lease_id for item in body.reports]
    answer = partial(lease_calls.report, registry, body.reports)
    return Decisions(decisions=await _durable(registry, answer, lease_ids))


@router.post("/leases/renew")
async def renew(body: Renew, registry: RegistryDependency) -> Renewed:
    """Give leases a fresh term, between reports that are far apart."""
    answer = partial(lease_calls.renew, registry, body.lease_ids)
    return Renewed(leases=await _durable(registry, answer, body.lease_ids))


@router.post("/leases/{lease_id}/complete")
async def complete(lease_id: LeaseIdPath, body: Complete, registry: RegistryDependency) -> Closed:
    """The trial has trained to its end. The same call again gets the same answer."""
    answer = partial(lease_calls.complete, registry, lease_id, body)
    return Closed.model_validate({"state": await _durable(registry, answer, [lease_id], with_epochs=True)})


@router.post("/leases/{lease_id}/fail")
async def fail(lease_id: LeaseIdPath, body: Fail, registry: RegistryDependency) -> Closed:
    """The trial could not be trained. With retry it is tried again while attempts are left."""
    answer = partial(lease_calls.fail, registry, lease_id, body)
    return Closed.model_validate({"state": await _durable(registry, answer, [lease_id])})


@router.post("/leases/{lease_id}/release")
async def release(lease_id: LeaseIdPath, registry: RegistryDependency) -> Closed:
    """Give the trial back untouched: it goes to the front of the queue, and no attempt is counted."""
    answer = partial(lease_calls.release, registry, lease_id)
    return Closed.model_validate({"state": await _durable(registry, answer, [lease_id])})


@router.post("/leases/{lease_id}/prune")
async def prune(lease_id: LeaseIdPath, registry: RegistryDependency) -> Closed:
    """The trial's own code gave it up, as by Optuna's TrialPruned. The same call again gets the same answer."""
    answer = partial(lease_calls.prune, registry, lease_id)
    return Closed.model_validate({"state": await _durable(registry, answer, [lease_id])})


@router.post("/leases/{lease_id}/pause")
async def pause(lease_id: LeaseIdPath, registry: RegistryDependency) -> Closed:
    """The trial waits at its rung beside its checkpoint, as a decision said; without that checkpoint it is pruned.

    The same call again gets the same answer.
    """
    answer = partial(lease_calls.pause, registry, lease_id)
    return Closed.model_validate({"state": await _durable(registry, answer, [lease_id], with_epochs=True)})


@router.post("/leases/{lease_id}/suggest")
async def suggest(lease_id: LeaseIdPath, body: Suggest, registry: RegistryDependency, request: Request) -> Suggested:
    """A parameter that an entrypoint asks for as it runs: sampled by the first call, and the same value from then on.

    A parameter that has another kind of values, or other choices, gets 409 `distribution_conflict`.
    """
    # Never on the event loop, nor in all of its threads: a sampler takes its time.
    value, committed = await to_thread.run_sync(
        define_by_run.suggest, registry, lease_id, body, limiter=request.app.state.sampling_threads
    )
    await registry.store.committed(committed)
    return Suggested(value=value)


@router.post("/leases/{lease_id}/user-attrs")
async def set_user_attrs(lease_id: LeaseIdPath, body: NewUserAttrs, registry: RegistryDependency) -> KnownUserAttrs:
    """Note values with the trial, as Optuna's set_user_attr does."""
    answer = partial(define_by_run.set_user_attrs, registry, lease_id, body.user_attrs)
    return KnownUserAttrs(user_attrs=await _durable(registry, answer, [lease_id]))


@router.post("/leases/{lease_id}/constraints")
async def set_constraints(
    lease_id: LeaseIdPath, body: NewConstraints, registry: RegistryDependency
) -> KnownConstraints:
    """Keep constraint values with the trial, as Optuna's set_constraint does: above 0 a constraint is violated."""
    answer = partial(define_by_run.set_constraints, registry, lease_id, body.constraints)
    return KnownConstraints(constraints=await _durable(registry, answer, [lease_id]))


async def _claim_at_once(registry: Registry, body: Claim) -> Granted | None:
    """The answer, if memory alone is touched for it and nobody else works on the study for long."""
    async for _ in _tries():
        live = quick_study(registry, body)
        answer = None if live is None else claim_at_once(registry, live, body)
        if live is None or answer is not None:
            return answer
    return None


async def _durable(
    registry: Registry,
    call: Callable[[], tuple[Answer, Sequence[Future[None]]]],
    lease_ids: Sequence[str],
    *,
    with_epochs: bool = False,
) -> Answer:
    """The answer of a call, when all that it wrote is committed. Here and now if memory alone is touched."""
    async for _ in _tries():
        if not lease_calls.are_at_hand(registry, lease_ids, with_epochs=with_epochs):
            break
        with lease_calls.unhindered(registry, lease_ids, with_epochs=with_epochs) as free:
            if free:
                answer, committed = call()
        if free:
            await registry.store.committed(committed)
            return answer
    answer, committed = await run_in_threadpool(call)
    await registry.store.committed(committed)
    return answer


async def _tries() -> AsyncIterator[None]:
    for seconds in PAUSES:
        yield
        await asyncio.sleep(seconds)
    yield
