"""Serves the Optuna dashboard on the service's own port, for reading only; the service makes its changes."""

import asyncio

from a2wsgi import WSGIMiddleware
from optuna.storages import BaseStorage
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import ForbiddenError
from service.web.dashboard.study_views import StudyViews
from service.web.own_process import OwnProcesses

# The dashboard's pages request these absolute paths, so they cannot be moved under a prefix.
READS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/api/{rest:path}",
    "/static/{rest:path}",
    "/csv/{rest:path}",
    "/favicon.ico",
)
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def dashboard_routes(storage: BaseStorage, own_processes: OwnProcesses) -> list[Route]:
    """The routes of the dashboard. Changes that have no route before these are refused."""
    dashboard = LazyDashboard(storage, own_processes)
    return [
        *(Route(path, endpoint=dashboard, methods=["GET"]) for path in READS),
        Route("/api/{rest:path}", endpoint=_RefusedChange(), methods=list(WRITES)),
    ]


class LazyDashboard:
    """The dashboard, loaded at the first request because it imports scikit-learn and pandas."""

    def __init__(self, storage: BaseStorage, own_processes: OwnProcesses) -> None:
        self._storage = storage
        self._views = StudyViews(storage, own_processes)
        self._app: ASGIApp | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the dashboard, importing it first if necessary."""
        response = await self._views.answer(scope)
        if response is not None:
            await response(scope, receive, send)
            return
        async with self._loading:
            if self._app is None:
                self._app = await asyncio.to_thread(_load, self._storage)
        await self._app(_with_encoding(scope), receive, send)


def _load(storage: BaseStorage) -> ASGIApp:
    from optuna_dashboard import wsgi

    app: ASGIApp = WSGIMiddleware(wsgi(storage), workers=4)  # type: ignore[assignment]
    return app


def _with_encoding(scope: Scope) -> Scope:
    """The scope with an accept-encoding header, without which the dashboard fails."""
    if any(name == b"accept-encoding" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}


class _RefusedChange:
    """Refuses changes that would bypass the service, such as creating a study without a definition."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise ForbiddenError(
            "not from the dashboard: studies are created and changed through the API or the narrows command"
        )
