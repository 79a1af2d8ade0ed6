"""The middleware that limits the size, nesting and time of request bodies, and converts YAML to JSON."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import InvalidError, ServiceError, SlowRequestError
from service.schemas import yaml_text
from service.web.problems import problem_response

MAX_BODY_BYTES = 1024 * 1024
MAX_IMPORT_BYTES = 4 * MAX_BODY_BYTES
"""Limit for imports of trials, which may have up to 10,000 of them."""
MAX_NESTING = 32
BODY_SECONDS = 20.0
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")

UPLOADS = ("PUT", "/v1/artifacts/")
"""Uploads of artifacts have their own limits and are never held in memory as a whole."""

STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?')
BRACKET = re.compile(rb"[\[\]{}]")


class BodyLimits:
    """Reads each request body before the application does and refuses one that is too large, too nested or too slow."""

    def __init__(self, app: ASGIApp, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and check the body of a request, then pass the request on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        if scope["method"] == UPLOADS[0] and scope["path"].startswith(UPLOADS[1]):
            await self._app(scope, receive, send)
            return
        try:
            is_import = scope["path"].endswith("/imports")
            body = await self._read(receive, MAX_IMPORT_BYTES if is_import else MAX_BODY_BYTES)
            if Headers(scope=scope).get("content-type", "").split(";")[0].strip().lower() in YAML_TYPES:
                body = await run_in_threadpool(_json_from_yaml, body)  # 1 MiB takes seconds
                scope["headers"] = _with_json_type(
                    scope["headers"]
                )  # not a copy: outer middleware reads the route here
            check_nesting(body)
        except ServiceError as error:
            response = problem_response(error.status, error.code, error.detail, error.errors, {"Connection": "close"})
            await response(scope, receive, send)
            return
        await self._app(scope, replay_body(body, receive), send)

    async def _read(self, receive: Receive, max_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                return await _read(receive, max_bytes)
        except TimeoutError as error:
            raise SlowRequestError(f"the body must arrive within {self._seconds:g} seconds") from error


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
            raise InvalidError([("body", f"body must be at most {max_bytes} bytes")])
        if not message.get("more_body", False):
            return b"".join(chunks)


def check_nesting(body: bytes) -> None:
    """Raises InvalidError when arrays and objects are nested too deep, before a parser recurses into them."""
    depth = 0
    for bracket in BRACKET.findall(STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_NESTING:
            raise InvalidError([("body", f"body must not be nested deeper than {MAX_NESTING} levels")])


def _json_from_yaml(body: bytes) -> bytes:
    try:
        return json.dumps(yaml_text.load(body)).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidError([("body", f"malformed YAML: {error}")]) from error


def _with_json_type(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name.lower() != b"content-type"]
    return [*others, (b"content-type", b"application/json")]


def replay_body(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A `receive` that returns a body that was already read, and afterwards further messages (a disconnect)."""
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
