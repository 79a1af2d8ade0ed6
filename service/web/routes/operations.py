"""Routes that show how the service is: its workers, health and metrics."""

from collections import defaultdict

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from service.errors import ShuttingDownError
from service.results.paging import MAX_LIMIT, take_page_by_name
from service.schemas.workers import MAX_SHOWN, RunningTrial, Worker, WorkerList
from service.web.dependencies import RegistryDependency
from service.web.etags import NOT_MODIFIED, IfNoneMatch, tagged_by_content
from service.web.routes.studies import CursorQuery, Limit

workers_router = APIRouter(prefix="/v1", tags=["workers"])
router = APIRouter(tags=["operations"])

READY_SECONDS = 5.0


class Health(BaseModel):
    """The answer of a health check."""

    status: str = Field(description="ok when it is.", examples=["ok"])


@workers_router.get(
    "/workers",
    name="workers",
    response_model=WorkerList,
    response_description="The workers, the last seen one first.",
    responses=NOT_MODIFIED,
)
def list_workers(
    registry: RegistryDependency,
    limit: Limit = MAX_LIMIT,
    cursor: CursorQuery = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List the workers.

    The list has every worker that claims or trains, with the number of trials that it trains now, and of those that are
    gone the 1,000 or so that have claimed last. Pages are in the order of the workers' ids. On each page the worker
    that was seen last comes first.
    """
    records, next_cursor = take_page_by_name(
        registry.store.workers.newest_first(), lambda worker: worker.worker_id, limit, cursor
    )
    training: defaultdict[str, list[RunningTrial]] = defaultdict(list)
    for live in registry.every():
        for lease in live.leases:
            training[lease.worker_id].append(RunningTrial(study=live.record.name, number=lease.trial_number))
    answer = WorkerList(
        workers=[
            Worker(
                id=record.worker_id,
                host=record.host,
                device=record.device,
                n_lanes=record.n_lanes,
                narrows_version=record.narrows_version,
                torch_version=record.torch_version,
                seconds=registry.worker_times.of(record.worker_id),
                trials_running=len(training[record.worker_id]),
                trials=training[record.worker_id][:MAX_SHOWN],
                first_seen_at=record.first_seen_at,
                last_seen_at=record.last_seen_at,
            )
            for record in registry.worker_last_seen.with_last_seen(records)
        ],
        next_cursor=next_cursor,
    )
    return tagged_by_content(answer, if_none_match)


@router.get("/healthz", name="healthz", response_description="The process is alive.")
async def check_health() -> Health:
    """Check that the process is alive.

    It answers as long as the process handles requests, even while the database is away. No token is needed.
    """
    return Health(status="ok")


@router.get("/readyz", name="readyz", response_description="The service is ready.")
async def check_readiness(registry: RegistryDependency) -> Health:
    """Check that the service is ready for work.

    It is ready when all studies are loaded and the database commits a write within 5 seconds. Otherwise, and while the
    service shuts down, it answers 503. No token is needed.
    """
    if registry.waiting_claims.closed:
        raise ShuttingDownError("the service is shutting down")
    await registry.store.ping(READY_SECONDS)
    return Health(status="ok")


@router.get(
    "/metrics",
    name="metrics",
    response_class=PlainTextResponse,
    response_description="The metrics in Prometheus' text format.",
)
def get_metrics(request: Request) -> Response:
    """Read the metrics for Prometheus.

    Requests and commits are counted as they happen; studies, workers and event readers are counted by this call.
    """
    return Response(request.app.state.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
