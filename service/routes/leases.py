"""What workers call: claim, report, renew, and the three ways to end a lease."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from service import lease_calls
from service.dependencies import LeaseIdPath, RegistryDependency
from service.schemas.protocol import Claim, Claimed, Closed, Complete, Decisions, Fail, Renew, Renewed, Reports

router = APIRouter(prefix="/v1", tags=["workers"])


@router.post("/claims")
async def claim(body: Claim, registry: RegistryDependency, request: Request) -> Claimed:
    """Ask for trials; waits up to wait_seconds for one. The same claim_id again gets the same leases."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + body.wait_seconds
    await run_in_threadpool(registry.seen, body)
    while True:
        ticket = registry.signal.ticket()
        leases = await run_in_threadpool(registry.claim, body)
        remaining = deadline - loop.time()
        if leases or remaining <= 0 or registry.signal.closed:
            return Claimed(leases=leases)
        await registry.signal.wait(ticket, remaining)
        if await request.is_disconnected():  # a trial granted to nobody would wait out its lease
            return Claimed(leases=[])


@router.post("/reports")
async def report(body: Reports, registry: RegistryDependency) -> Decisions:
    """Report epochs of one or many trials. The same (lease_id, step) again gets the same decision."""
    # Here and now, if no sampler holds a study: memory alone is touched, which is quicker than the way to a thread.
    with lease_calls.unhindered(registry, body.reports) as free:
        if free:
            decisions, committed = lease_calls.report(registry, body.reports)
    if not free:
        decisions, committed = await run_in_threadpool(lease_calls.report, registry, body.reports)
    await registry.store.committed(committed)
    return Decisions(decisions=decisions)


@router.post("/leases/renew")
def renew(body: Renew, registry: RegistryDependency) -> Renewed:
    """Give leases a fresh term, between reports that are far apart."""
    return Renewed(leases=lease_calls.renew(registry, body.lease_ids))


@router.post("/leases/{lease_id}/complete")
def complete(lease_id: LeaseIdPath, body: Complete, registry: RegistryDependency) -> Closed:
    """The trial has trained to its end. The same call again gets the same answer."""
    return Closed.model_validate({"state": lease_calls.complete(registry, lease_id, body)})


@router.post("/leases/{lease_id}/fail")
def fail(lease_id: LeaseIdPath, body: Fail, registry: RegistryDependency) -> Closed:
    """The trial could not be trained. With retry it is tried again while attempts are left."""
    return Closed.model_validate({"state": lease_calls.fail(registry, lease_id, body)})


@router.post("/leases/{lease_id}/release")
def release(lease_id: LeaseIdPath, registry: RegistryDependency) -> Closed:
    """Give the trial back untouched: it goes to the front of the queue, and no attempt is counted."""
    return Closed.model_validate({"state": lease_calls.release(registry, lease_id)})
