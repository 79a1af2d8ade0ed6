"""The middleware that limits size, nesting and time of request bodies, checks their text and converts YAML to JSON."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import InvalidError, ServiceError, SlowRequestError
from service.schemas.yaml_text import YamlError
from service.web import yaml_process
from service.web.body_text import check_body
from service.web.large_bodies import LargeBodies
from service.web.own_process import Limits, OwnProcessError, OwnProcesses
from service.web.problems import error_response
from service.web.replay import replay_body
from service.web.yaml_lines import YamlLines, lines_in_body

MAX_BODY_BYTES = 1024 * 1024
MAX_IMPORT_BYTES = 4 * MAX_BODY_BYTES
"""Limit for imports of trials, which may have up to 10,000 of them."""
MAX_STRANGER_BYTES = 16 * 1024
"""Limit for callers who have shown no token: they send at most the form of the login page."""
BODY_SECONDS = 20.0
STRANGER_SECONDS = 5.0
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")

MAX_YAML_AT_ONCE = 16 * 1024
"""Larger YAML is converted in a process of its own: it takes a thousand times as long as JSON."""
YAML_LIMITS = Limits(seconds=60.0, memory_bytes=2 * 1024**3)
YAML_PROCESSES = 2

UPLOADS = ("PUT", "/v1/artifacts/")
"""Uploads of artifacts have their own limits and are never held in memory as a whole."""


@dataclass(frozen=True)
class BodyLimit:
    """How many bytes a body may have, and within how many seconds it must arrive."""

    n_bytes: int
    seconds: float


class BodyLimits:
    """Reads each request body before the application does and refuses one that is too large, too nested or too slow.

    It stands behind the authentication: the limits are small for a caller who has shown no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        own_processes: OwnProcesses,
        seconds: float = BODY_SECONDS,
        routes: Iterable[BaseRoute] = (),
    ) -> None:
        """`routes` are those whose bodies have a model."""
        self._app = app
        self._large = LargeBodies(own_processes, routes)
        self._seconds = seconds
        self._own_processes = own_processes
        self._yaml_processes = CapacityLimiter(YAML_PROCESSES)
        self._yaml_lines = YamlLines(own_processes, YAML_LIMITS, self._yaml_processes, MAX_YAML_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and check the body of a request, then pass the request on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        if scope["method"] == UPLOADS[0] and scope["path"].startswith(UPLOADS[1]):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._checked_body(scope, receive)
        except ServiceError as error:
            response = error_response(error, scope["path"], await lines_in_body(scope, error))
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        await self._app(scope, replay_body(body, receive), send)

    async def _checked_body(self, scope: Scope, receive: Receive) -> bytes:
        """The body, as JSON if it was sent as YAML. Raises InvalidError and SlowRequestError."""
        headers = Headers(scope=scope)
        limit = self._limit_of(scope)
        _check_declared_size(headers.get("content-length", ""), limit)
        body = await _read_in_time(receive, limit)
        if not is_known(scope):
            return body
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        is_yaml = kind in YAML_TYPES
        if is_yaml:
            self._yaml_lines.keep(scope, body)
            body = await self._json_from_yaml(body)
            scope["headers"] = _with_json_type(scope["headers"])  # not a copy: outer middleware reads the route here
        if self._large.is_large(scope, body):
            await self._large.parse(scope, body, is_json=is_yaml or _is_json(kind))
        else:
            check_body(body)
        return body

    def _limit_of(self, scope: Scope) -> BodyLimit:
        if not is_known(scope):
            return BodyLimit(MAX_STRANGER_BYTES, min(self._seconds, STRANGER_SECONDS))
        return BodyLimit(MAX_IMPORT_BYTES if scope["path"].endswith("/imports") else MAX_BODY_BYTES, self._seconds)

    async def _json_from_yaml(self, body: bytes) -> bytes:
        """Raises InvalidError."""
        if len(body) <= MAX_YAML_AT_ONCE:
            try:
                return await run_in_threadpool(yaml_process.json_of_yaml, body)
            except YamlError as error:
                raise InvalidError([("body", f"malformed YAML: {error}")], error.line) from error
        try:
            call = partial(self._own_processes.call, yaml_process.__name__, body, YAML_LIMITS)
            answer = json.loads(await to_thread.run_sync(call, limiter=self._yaml_processes))
        except OwnProcessError as error:
            raise InvalidError([("body", f"YAML that cannot be read: {error}; send JSON")]) from error
        if "error" in answer:
            raise InvalidError([("body", f"malformed YAML: {answer['error']}")], answer["line"])
        converted: str = answer["json"]
        return converted.encode()


def is_known(scope: Scope) -> bool:
    """Whether the caller has been authenticated, rather than admitted to a route that is open to anyone."""
    return scope.get("state", {}).get("caller") is not None


def _check_declared_size(content_length: str, limit: BodyLimit) -> None:
    """Raises InvalidError for a body whose declared size is too large, before any of it is read."""
    if content_length.isdecimal() and int(content_length[:20]) > limit.n_bytes:
        raise _too_large(limit.n_bytes)


def _too_large(max_bytes: int) -> InvalidError:
    return InvalidError([("body", f"body must be at most {max_bytes} bytes")])


async def _read_in_time(receive: Receive, limit: BodyLimit) -> bytes:
    try:
        async with asyncio.timeout(limit.seconds):
            return await _read(receive, limit.n_bytes)
    except TimeoutError as error:
        raise SlowRequestError(f"the body must arrive within {limit.seconds:g} seconds") from error


async def _read(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _is_json(kind: str) -> bool:
    """Whether FastAPI reads a body of this content type as JSON."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _with_json_type(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name.lower() != b"content-type"]
    return [*others, (b"content-type", b"application/json")]
