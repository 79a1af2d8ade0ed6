"""Hands a body that was parsed in a thread to the route that takes it, which would parse it on the event loop."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, WrapValidator
from starlette.types import Scope

KEY = "narrows.parsed_body"
"""The key of a parsed body in the scope of its request."""


def parsed_body(scope: Scope) -> BaseModel | None:
    """The body of a request, if it was parsed already."""
    body: BaseModel | None = scope.get(KEY)
    return body


def _take_parsed(value: Any, validate: Callable[[Any], Any]) -> Any:
    return value if isinstance(value, BaseModel) else validate(value)


CHECKED_ONCE = WrapValidator(_take_parsed)
"""For the body of a model whose checks take long: FastAPI would make the model's own checks again."""


class ParsedRequest(Request):
    """A request whose body may have been parsed already."""

    async def json(self) -> Any:
        """The body: the instance of its model, which FastAPI takes as it is, or JSON that is still to be checked."""
        parsed = parsed_body(self.scope)
        return await super().json() if parsed is None else parsed


class ParsedBodyRoute(APIRoute):
    """A route that takes the body that was parsed for it. Every route whose body has a model is one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, for a request that knows its parsed body."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(ParsedRequest(request.scope, request.receive))

        return handle
