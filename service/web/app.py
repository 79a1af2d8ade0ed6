"""The FastAPI application: routes, errors, limits, metrics, dashboard."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from service.access.authenticator import Authenticator
from service.access.tokens import Tokens
from service.clock import Clock, SystemClock
from service.events.event_ring import EventRing
from service.events.work_signal import WorkSignal
from service.finals.start import start_due_finals
from service.leases.artifacts import MAX_ARTIFACT_BYTES, Artifacts
from service.leases.ends import tick
from service.registry.registry import Registry
from service.schemas.problem import Problem
from service.web import api_docs, problems
from service.web.admission import Admission
from service.web.body_limits import BodyLimits
from service.web.dashboard.pages import dashboard_routes
from service.web.metrics import MeasureRequests, Metrics
from service.web.quick_route import QuickRoutes
from service.web.request_ids import RequestIds
from service.web.routes import (
    artifacts,
    dashboard,
    diagnosis,
    events,
    final,
    imports,
    leases,
    login,
    operations,
    rounds,
    studies,
    tokens,
    trials,
)
from service.web.security_headers import SecurityHeaders
from storage import DATABASE_ERRORS, BlobStore, StorageError, Store, open_artifacts

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
SAMPLING_THREADS = 4
"""How many parameters are sampled at a time for code that asks for them as it runs."""
DESCRIPTION = "Self-hosted hyperparameter optimization for PyTorch. Errors are problem details (RFC 9457)."
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        401: "No token, or a wrong one.",
        403: "The token does not open this, or the call comes from another site's page.",
        404: "No such study, trial, lease, artifact or token.",
        408: "The body did not arrive in time.",
        409: "Not in the present state.",
        422: "Input that breaks a rule.",
        429: "Too many wrong tokens from this address; Retry-After says when to try again.",
        503: "The database does not answer, the service is about to end, or no place is left in a stream.",
    }.items()
}


def create_app(
    store: Store,
    *,
    clock: Clock | None = None,
    lease_seconds: float = 60.0,
    token: str | None = None,
    blobs: BlobStore | None = None,
    max_artifact_bytes: int = MAX_ARTIFACT_BYTES,
    stream: EventRing | None = None,
) -> FastAPI:
    """The application on an open store. `token` is one of an admin, beside those that are stored.

    Without any token, callers on this machine may do everything, and nobody else may do anything. Artifacts go to
    `blobs`; without, to the folder that is the setting's default.
    """
    clock, signal, stream, metrics = clock or SystemClock(), WorkSignal(), stream or EventRing(), Metrics()
    store.listen(stream.committed)
    store.listen(metrics.committed)
    registry = Registry(store, clock, lease_seconds, signal, metrics.sampled, tick)
    metrics.collect_from(registry, stream)
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
    app.state.gate = gate = Authenticator(Tokens(store, clock, token), clock)
    app.state.events = stream
    app.state.sampling_threads = CapacityLimiter(SAMPLING_THREADS)
    app.state.metrics = metrics
    app.state.artifacts = Artifacts(
        registry, blobs or open_artifacts(None, store.optuna.engine.url), max_artifact_bytes
    )
    for module in (
        studies,
        diagnosis,
        trials,
        final,
        rounds,
        imports,
        leases,
        artifacts,
        events,
        tokens,
        login,
        dashboard,
    ):
        app.include_router(module.router)
    app.include_router(operations.workers_router)
    app.include_router(operations.router)
    app.router.routes.extend(dashboard_routes(store.optuna))
    app.router.middleware_stack = QuickRoutes(app.router.middleware_stack, leases.router)
    problems.install(app)
    api_docs.install(app)
    app.add_middleware(BodyLimits)
    app.add_middleware(Admission, gate=gate)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(MeasureRequests, metrics=metrics)
    app.add_middleware(RequestIds)
    return app


def end_waiting(app: FastAPI) -> None:
    """Let go of those who wait for work or for events, now and later: the service is shutting down."""
    app.state.signal.close()
    app.state.events.close()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(_tick(app)),
        asyncio.create_task(app.state.artifacts.keep_sweeping()),
    ]
    app.state.registry.preparation.start()
    yield
    end_waiting(app)
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await run_in_threadpool(app.state.registry.preparation.close)


async def _tick(app: FastAPI) -> None:
    """Let leases expire, studies end and final evaluations begin while nobody calls, and keep when tokens were used."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        registry: Registry = app.state.registry
        for work in (registry.tick, partial(start_due_finals, registry), app.state.gate.tokens.keep_last_used):
            try:
                await run_in_threadpool(work)
            except (*DATABASE_ERRORS, StorageError) as error:
                log.error("the database does not answer: %s", error)
                break
            except Exception:
                log.exception("a tick failed; the next one tries again")
