"""The Optuna dashboard on the service's own port. It reads by itself; what it may change, the service does."""

import asyncio

from a2wsgi import WSGIMiddleware
from optuna.storages import BaseStorage
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import ForbiddenError

# The dashboard's pages ask for these absolute paths, so they cannot be moved under a prefix of ours.
READS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/api/{rest:path}",
    "/static/{rest:path}",
    "/csv/{rest:path}",
    "/favicon.ico",
)
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def dashboard_routes(storage: BaseStorage) -> list[Route]:
    """The dashboard's routes, and the way to it from the front door. What it may change has routes before these."""
    dashboard = Dashboard(storage)
    return [
        Route("/", endpoint=_Fixed(RedirectResponse("/dashboard")), methods=["GET"]),
        *(Route(path, endpoint=dashboard, methods=["GET"]) for path in READS),
        Route("/api/{rest:path}", endpoint=_Refused(), methods=list(WRITES)),
    ]


class Dashboard:
    """The dashboard itself, loaded when somebody first looks: it brings scikit-learn and pandas with it."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._app: ASGIApp | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._loading:
            if self._app is None:
                self._app = await asyncio.to_thread(_load, self._storage)
        await self._app(_with_encoding(scope), receive, send)


def _load(storage: BaseStorage) -> ASGIApp:
    from optuna_dashboard import wsgi

    app: ASGIApp = WSGIMiddleware(wsgi(storage), workers=4)  # type: ignore[assignment]
    return app


def _with_encoding(scope: Scope) -> Scope:
    """The dashboard fails on a request that does not say which encodings it takes."""
    if any(name == b"accept-encoding" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}


class _Refused:
    """Answers what would go past the service: studies are made from definitions, and trials trained by workers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise ForbiddenError(
            "not from the dashboard: studies are created and changed through the API or the narrows command"
        )


class _Fixed:
    """Answers every request with the same response."""

    def __init__(self, response: ASGIApp) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)
