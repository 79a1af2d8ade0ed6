"""How the service itself is: workers, health, metrics."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from service.errors import ShuttingDownError
from service.schemas.protocol import Worker, WorkerList
from service.web.dependencies import RegistryDependency, registry_of

workers_router = APIRouter(prefix="/v1", tags=["workers"])
router = APIRouter(tags=["operations"])

READY_SECONDS = 5.0


class Health(BaseModel):
    status: str = Field(description="ok when it is.", examples=["ok"])


@workers_router.get("/workers")
def workers(registry: RegistryDependency) -> WorkerList:
    """Who is there, last seen first."""
    running: dict[str, int] = {}
    for live in registry.every():
        for lease in live.leases:
            running[lease.worker_id] = running.get(lease.worker_id, 0) + 1
    return WorkerList(
        workers=[
            Worker(
                id=record.worker_id,
                host=record.host,
                device=record.device,
                n_lanes=record.n_lanes,
                trials_running=running.get(record.worker_id, 0),
                first_seen_at=record.first_seen_at,
                last_seen_at=record.last_seen_at,
            )
            for record in registry.sightings.applied(registry.store.workers())
        ]
    )


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz")
async def readyz(request: Request) -> Health:
    """All studies are loaded and what is written now would be kept; 503 when not, or when the service is ending."""
    registry = registry_of(request)  # not as a dependency: a thread would have to be free for it
    if registry.signal.closed:
        raise ShuttingDownError("the service is shutting down")
    await registry.store.ping(READY_SECONDS)
    return Health(status="ok")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(request.app.state.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
