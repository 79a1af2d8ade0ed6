"""A name for every request: the client's own or a fresh one, in the answer's headers and in every line of the log."""

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import CurrentRequest, _current

HEADER = "X-Request-ID"
RAW_HEADER = HEADER.lower().encode()
SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")


class RequestIds:
    """Names requests. The outermost of our middleware, so that every answer of ours carries the name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _given(scope) or secrets.token_hex(8)
        _current.set(CurrentRequest(name, scope))  # stays: a failure is answered and logged outside of here
        header = (RAW_HEADER, name.encode())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_named)


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == RAW_HEADER:
            return value.decode() if SANE.fullmatch(value) else None
    return None
