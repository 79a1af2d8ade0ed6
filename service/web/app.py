"""Creates the FastAPI application with its routes, middleware and background tasks."""

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
from service.access.sessions import Sessions
from service.access.tokens import Tokens
from service.clock import Clock, SystemClock
from service.events.event_ring import EventRing
from service.finals.start import start_due_finals
from service.leases.artifacts import MAX_ARTIFACT_BYTES, Artifacts
from service.leases.tick import tick_study
from service.registry.registry import Registry
from service.results.histories import Histories
from service.results.trial_table import TrialTables
from service.sampling.custom.custom_samplers import CustomSamplers
from service.schemas.problem import Problem
from service.study.stalls import BEAT_SECONDS
from service.web import api_docs, problems
from service.web.admission import Admission
from service.web.body_limits import BodyLimits
from service.web.conversions import Conversions
from service.web.dashboard.pages import dashboard_routes
from service.web.metrics import MeasureRequests, Metrics
from service.web.own_process import OwnProcesses
from service.web.pages.shell import page_routes
from service.web.quick_route import QuickRoutes
from service.web.request_ids import RequestIds
from service.web.routes import (
    artifacts,
    conversion,
    dashboard,
    diagnosis,
    events,
    final,
    imports,
    leases,
    login,
    operations,
    rounds,
    session,
    studies,
    tokens,
    trials,
    views,
)
from service.web.security_headers import SecurityHeaders
from storage import DATABASE_ERRORS, BlobStore, StorageError, Store, open_artifacts

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
SAMPLING_THREADS = 4
"""Maximum number of parameters that are sampled at once for running entrypoints."""
WAITING_THREADS = 16
"""The same for samplers in processes of their own, for which the threads only wait."""
ROUTERS = [
    module.router
    for module in (
        studies,
        conversion,
        diagnosis,
        trials,
        views,
        final,
        rounds,
        imports,
        leases,
        artifacts,
        events,
        tokens,
        session,
        login,
        dashboard,
    )
]
DESCRIPTION = "Self-hosted hyperparameter optimization for PyTorch. Errors are problem details (RFC 9457)."
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        401: "No token was sent, or it is wrong.",
        403: "The token lacks the required scope, or the call comes from another site's page.",
        404: "There is no such study, trial, lease, artifact or token.",
        408: "The body did not arrive in time.",
        409: "The present state does not allow this call.",
        422: "The input breaks a rule.",
        429: "This address sent too many wrong tokens; Retry-After says when to try again.",
        503: "The database does not answer, the service is ending or overloaded, or too many clients read the events.",
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
    tick_seconds: float = TICK_SECONDS,
    custom_samplers: CustomSamplers | None = None,
) -> FastAPI:
    """Create the application on an open store. `token` is an admin token in addition to the stored ones.

    While no token exists, callers on this machine may do everything and other callers nothing. Artifacts are stored in
    `blobs`, by default in the default folder of the artifacts setting. Leases expire and due work starts every
    `tick_seconds`. `custom_samplers` are those that definitions may use; none of them without it.
    """
    clock, stream, metrics = clock or SystemClock(), stream or EventRing(), Metrics()
    store.add_commit_listener(stream.publish_commit)
    store.add_commit_listener(metrics.observe_commit)
    registry = Registry(store, clock, lease_seconds, metrics.observe_sampling, tick_study, custom_samplers)
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
    known_tokens = Tokens(store, clock, token)
    authenticator = Authenticator(known_tokens, Sessions(store, known_tokens, clock), clock)
    app.state.authenticator = authenticator
    app.state.events = stream
    app.state.tick_seconds = tick_seconds
    app.state.sampling_threads = CapacityLimiter(SAMPLING_THREADS)
    app.state.waiting_threads = CapacityLimiter(WAITING_THREADS)
    app.state.metrics = metrics
    app.state.own_processes = own_processes = OwnProcesses()
    app.state.conversions = Conversions(own_processes)
    app.state.histories = Histories()
    app.state.trial_tables = TrialTables()
    app.state.artifacts = Artifacts(
        registry, blobs or open_artifacts(None, store.optuna.engine.url), max_artifact_bytes
    )
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(operations.workers_router)
    app.include_router(operations.router)
    app.router.routes.extend([*page_routes(), *dashboard_routes(store.optuna, own_processes)])
    app.router.middleware_stack = QuickRoutes(app.router.middleware_stack, leases.router)
    problems.install_error_handlers(app)
    api_docs.install_docs(app)
    routes = [route for router in ROUTERS for route in router.routes]
    app.add_middleware(BodyLimits, own_processes=own_processes, routes=routes)
    app.add_middleware(Admission, authenticator=authenticator)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(MeasureRequests, metrics=metrics)
    app.add_middleware(RequestIds)
    return app


def close_waits(app: FastAPI) -> None:
    """End current and future waits for work, events or processes, because the service is shutting down."""
    app.state.registry.waiting_claims.close()
    app.state.events.close()
    app.state.own_processes.close()
    app.state.registry.custom_samplers.close()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(_keep_ticking(app)),
        asyncio.create_task(_beat(app)),
        asyncio.create_task(app.state.artifacts.keep_sweeping()),
    ]
    app.state.registry.background_sampler.start()
    yield
    close_waits(app)
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await run_in_threadpool(app.state.registry.background_sampler.close)


async def _beat(app: FastAPI) -> None:
    """Regularly note that the event loop runs."""
    while True:
        app.state.registry.stalls.beat()
        await asyncio.sleep(BEAT_SECONDS)


async def _keep_ticking(app: FastAPI) -> None:
    while True:
        await asyncio.sleep(app.state.tick_seconds)
        await run_in_threadpool(tick, app)


def tick(app: FastAPI) -> None:
    """Expire leases, end studies, start due final evaluations and store when tokens were last used."""
    registry: Registry = app.state.registry
    for work in (registry.tick, partial(start_due_finals, registry), app.state.authenticator.tokens.save_last_used):
        try:
            work()
        except (*DATABASE_ERRORS, StorageError) as error:
            log.error("the database does not answer: %s", error)
            break
        except Exception:
            log.exception("a tick failed; the next one tries again")
