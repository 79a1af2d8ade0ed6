"""The middleware that gives every request an id, which is in the answer's headers and in every log line."""

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import start_request

HEADER = "X-Request-ID"
RAW_HEADER = HEADER.lower().encode()
VALID_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")


class RequestIds:
    """Takes the id from the client's header or creates one. As the outermost middleware, it sees every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under its id, and add the id to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _id_of_client(scope) or secrets.token_hex(8)
        start_request(request_id, scope)  # never reset: unexpected errors are logged outside of this middleware
        header = (RAW_HEADER, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_with_id)


def _id_of_client(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == RAW_HEADER:
            return value.decode() if VALID_ID.fullmatch(value) else None
    return None
