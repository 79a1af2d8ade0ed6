"""The middleware that authenticates every request."""

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.authenticator import LOGIN, Authenticator
from service.errors import ServiceError, UnauthorizedError
from service.web.problems import error_response


class Admission:
    """Passes on the requests that the authenticator admits. A browser that asks for a page is sent to the login."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate a request, then pass it on or answer with the refusal."""
        if scope["type"] == "http":
            try:
                scope.setdefault("state", {})["caller"] = self._authenticator.admit(scope)
            except ServiceError as error:
                await _refuse(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refuse(scope: Scope, error: ServiceError) -> Response:
    wants_page = scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")
    if not isinstance(error, UnauthorizedError) or not wants_page:
        return error_response(error, scope["path"])
    query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
    return RedirectResponse(f"{LOGIN}?next={quote(scope['path'] + query, safe='/')}", 303)
