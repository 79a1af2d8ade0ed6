"""Parses the bodies that take long in threads, so that the event loop is free meanwhile."""

import json
from collections.abc import Iterable
from functools import partial
from typing import Any, get_args

from anyio import CapacityLimiter, to_thread
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.routing import BaseRoute
from starlette.types import Scope

from service.errors import InvalidError
from service.web import body_process
from service.web.body_errors import MAX_ERRORS, errors_of_body, parse_body
from service.web.body_text import check_body
from service.web.own_process import Limits, OwnProcessError, OwnProcesses
from service.web.parsed_body import KEY

MAX_BYTES_AT_ONCE = 64 * 1024
"""Larger JSON is checked in a thread."""
MAX_BYTES_IN_THREAD = 1024 * 1024
"""Larger JSON is checked in a process of its own before it is parsed, and so is one with many errors."""
PROCESS_LIMITS = Limits(seconds=60.0, memory_bytes=2 * 1024**3)
MAX_PROCESSES = 2
MAX_THREADS = 4
LONG_CHECKS = ("/v1/studies",)
"""Paths of which a small body may take long to check: choices and conditions of a definition multiply."""


class LargeBodies:
    """Parses large bodies and says what is wrong with them."""

    def __init__(self, own_processes: OwnProcesses, routes: Iterable[BaseRoute]) -> None:
        """`routes` are those whose bodies have a model."""
        self._routes = [route for route in routes if isinstance(route, APIRoute) and route.body_field is not None]
        self._own_processes = own_processes
        self._processes = CapacityLimiter(MAX_PROCESSES)
        self._threads = CapacityLimiter(MAX_THREADS)

    def is_large(self, scope: Scope, body: bytes) -> bool:
        """Whether a body may take long to check."""
        return len(body) > MAX_BYTES_AT_ONCE or (scope["method"] == "POST" and scope["path"] in LONG_CHECKS)

    async def parse(self, scope: Scope, body: bytes, *, is_json: bool) -> None:
        """Check a large body, and put it into the scope if it is JSON of a model. Raises InvalidError."""
        model = self._model(scope) if is_json else None
        if model is None or len(body) <= MAX_BYTES_IN_THREAD:
            await to_thread.run_sync(check_body, body)
        else:
            await self._check_in_process(model, body)
        if model is None or not body:
            return
        try:
            scope[KEY] = await to_thread.run_sync(parse_body, model, body, limiter=self._threads)
        except ValidationError as error:
            if error.error_count() > MAX_ERRORS:
                await self._check_in_process(model, body)
            raise InvalidError(errors_of_body(error)) from error

    async def _check_in_process(self, model: type[BaseModel], body: bytes) -> None:
        """Raises InvalidError."""
        given = f"{model.__module__}:{model.__qualname__}\n".encode() + body
        call = partial(self._own_processes.call, body_process.__name__, given, PROCESS_LIMITS)
        try:
            errors = json.loads(await to_thread.run_sync(call, limiter=self._processes))
        except OwnProcessError as error:
            raise InvalidError([("body", f"a body of {len(body)} bytes that cannot be checked: {error}")]) from error
        if errors:
            raise InvalidError([(field, message) for field, message in errors])

    def _model(self, scope: Scope) -> type[BaseModel] | None:
        """The model of a request's body; None if it has none."""
        for route in self._routes:
            if scope["method"] in (route.methods or ()) and route.path_regex.match(scope["path"]):
                assert route.body_field is not None, "only such routes are kept"
                return _class_of(route.body_field.field_info.annotation)
        return None


def _class_of(annotation: Any) -> type[BaseModel]:
    """The class of a body, which may be optional."""
    found: type[BaseModel]
    (found,) = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    return found
