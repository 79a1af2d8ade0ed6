"""The FastAPI application: routes, errors, limits, metrics, dashboard."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from service import api_docs, problems
from service.access import RequireToken
from service.clock import Clock, SystemClock
from service.dashboard import dashboard_routes
from service.limits import BodyLimits
from service.metrics import MeasureRequests, Metrics
from service.registry import Registry
from service.routes import leases, operations, studies, trials
from service.schemas.problem import Problem
from service.signals import WorkSignal
from storage import DATABASE_ERRORS, StorageError, Store

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
DESCRIPTION = "Self-hosted hyperparameter optimization for PyTorch. Errors are problem details (RFC 9457)."
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        401: "No token, or a wrong one.",
        404: "No such study, trial or lease.",
        409: "Not in the present state.",
        422: "Input that breaks a rule.",
        503: "The database does not answer.",
    }.items()
}


def create_app(
    store: Store, *, clock: Clock | None = None, lease_seconds: float = 60.0, token: str | None = None
) -> FastAPI:
    """The application on an open store. With a token, every call but the health checks needs it."""
    signal = WorkSignal()
    registry = Registry(store, clock or SystemClock(), lease_seconds, signal)
    app = FastAPI(
        title="Narrows",
        version=version("narrows"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        responses=ERRORS,
        docs_url=None,
        redoc_url=None,
    )
    app.state.registry = registry
    app.state.signal = signal
    app.state.metrics = Metrics(registry)
    for module in (studies, trials, leases):
        app.include_router(module.router)
    app.include_router(operations.workers_router)
    app.include_router(operations.router)
    app.router.routes.extend(dashboard_routes(store.optuna))
    problems.install(app)
    api_docs.install(app)
    app.add_middleware(BodyLimits)
    if token:
        app.add_middleware(RequireToken, token=token)
    app.add_middleware(MeasureRequests, metrics=app.state.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    ticker = asyncio.create_task(_tick(app.state.registry))
    yield
    app.state.signal.close()
    ticker.cancel()
    with suppress(asyncio.CancelledError):
        await ticker


async def _tick(registry: Registry) -> None:
    """Let leases expire and studies end while nobody calls."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await run_in_threadpool(registry.tick)
        except (*DATABASE_ERRORS, StorageError) as error:
            log.error("the database does not answer: %s", error)
        except Exception:
            log.exception("a tick failed; the next one tries again")
