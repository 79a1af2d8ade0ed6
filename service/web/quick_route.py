"""A short path for the calls that workers make all the time, around FastAPI's routing and dependencies.

Pydantic parses a valid request directly from its bytes, and the answer is written directly to bytes. An invalid
request takes FastAPI's usual path, which says what is wrong with it. The OpenAPI document is FastAPI's own. Routing,
exit stacks and dependencies would take a fifth of the time that the service spends on a trial.
"""

import inspect
from typing import Any, get_type_hints

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.dependencies import registry_of
from service.web.parsed_body import ParsedBodyRoute, parsed_body
from service.web.replay import replay_body

JSON_TYPE = "application/json"


class QuickRoute(ParsedBodyRoute):
    """A route whose coroutine takes `registry` and optionally `body`, `request` and path parameters."""

    def __init__(self, path: str, endpoint: Any, **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        hints = get_type_hints(endpoint, include_extras=True)
        names = set(inspect.signature(endpoint).parameters)
        self._body_type: type[BaseModel] | None = hints.get("body")
        self._wants_request = "request" in names
        self._path_types = {name: TypeAdapter[Any](hints[name]) for name in names - {"body", "registry", "request"}}

    async def arguments(self, request: Request) -> dict[str, Any] | None:
        """The arguments for the coroutine, or None for an invalid request."""
        arguments: dict[str, Any] = {"registry": registry_of(request)}
        try:
            for name, path_type in self._path_types.items():
                arguments[name] = path_type.validate_python(request.path_params[name])
            if self._body_type is not None:
                if request.headers.get("content-type") != JSON_TYPE:
                    return None
                parsed = parsed_body(request.scope)
                arguments["body"] = parsed or self._body_type.model_validate_json(await request.body())
        except ValidationError:
            return None
        if self._wants_request:
            arguments["request"] = request
        return arguments


class QuickRoutes:
    """Answers requests of quick routes itself and passes the others to `router_app`."""

    def __init__(self, router_app: ASGIApp, router: APIRouter) -> None:
        self._router_app = router_app
        routes = [route for route in router.routes if isinstance(route, QuickRoute)]
        self._by_path = {route.path: route for route in routes if not route.param_convertors}
        self._by_pattern = [route for route in routes if route.param_convertors]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of a quick route, or pass it on."""
        match = self._find(scope) if scope["type"] == "http" else None
        if match is None:
            await self._router_app(scope, receive, send)
            return
        route, path_params = match
        request = Request({**scope, "path_params": path_params}, receive, send)
        arguments = await route.arguments(request)
        if arguments is None:
            await self._router_app(scope, replay_body(await request.body(), receive), send)
            return
        scope["route"], scope["path_params"] = route, path_params  # read by metrics and logs
        answer: BaseModel = await route.endpoint(**arguments)
        text = answer.model_dump_json(exclude_none=route.response_model_exclude_none)
        await Response(text, media_type=JSON_TYPE)(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[QuickRoute, dict[str, str]] | None:
        path, method = scope["path"], scope["method"]
        route = self._by_path.get(path)
        if route is not None:
            return (route, {}) if method in (route.methods or ()) else None
        for route in self._by_pattern:
            match = route.path_regex.match(path)
            if match is not None and method in (route.methods or ()):
                return route, match.groupdict()
        return None
