"""The Optuna dashboard on the service's own port. It reads; what changes a study goes through the API."""

from a2wsgi import WSGIMiddleware
from optuna.storages import BaseStorage
from optuna_dashboard import wsgi
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import ForbiddenError
from service.problems import problem

# The dashboard's pages ask for these absolute paths, so they cannot be moved under a prefix of ours.
PATHS = ("/dashboard", "/dashboard/{rest:path}", "/api/{rest:path}", "/static/{rest:path}", "/csv/{rest:path}")


class ReadOnlyDashboard:
    """Passes on what reads. A dashboard that deletes or ends trials behind the service's back would break leases."""

    def __init__(self, storage: BaseStorage) -> None:
        self._app: ASGIApp = WSGIMiddleware(wsgi(storage), workers=4)  # type: ignore[assignment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        error = ForbiddenError("the dashboard is read-only: change studies through the API or the narrows command")
        await problem(error.status, error.code, error.detail)(scope, receive, send)


def dashboard_routes(storage: BaseStorage) -> list[Route]:
    """The dashboard's routes, and the way to it from the front door."""
    dashboard = ReadOnlyDashboard(storage)
    to_dashboard = RedirectResponse("/dashboard")
    return [
        Route("/", endpoint=_Fixed(to_dashboard)),
        *(Route(path, endpoint=dashboard) for path in (*PATHS, "/favicon.ico")),
    ]


class _Fixed:
    """Answers every request with the same response."""

    def __init__(self, response: ASGIApp) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)
