"""What a proxy says about a request (`X-Forwarded-For`, `X-Forwarded-Proto`), and who really sent it."""

import os

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.access.authenticator import PEER

TRUSTED = "127.0.0.1"


def behind_proxies(app: ASGIApp) -> ASGIApp:
    """The application with the headers of proxies on this machine, or on those that FORWARDED_ALLOW_IPS names.

    The peer of the connection is kept in the scope, because anybody on a proxy's machine can make up the headers.
    """
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", TRUSTED)
    with_headers = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # type: ignore[arg-type]

    async def keep_peer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[PEER] = scope.get("client")
        await with_headers(scope, receive, send)  # type: ignore[arg-type]

    return keep_peer
