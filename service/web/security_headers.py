"""Headers that every answer carries, so that browsers do with it what it is for and nothing else."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]

ALWAYS: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer, browsers hide the Origin of a form from its own site
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"content-security-policy", b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
]
NO_PAGE = (b"content-security-policy", b"default-src 'none'")
"""For what is not a page: should a browser ever take it for one, it loads and runs nothing. Pages bring their own."""
NOT_KEPT = (b"cache-control", b"no-store")
ASKED_AGAIN = (b"cache-control", b"no-cache")
HTTPS_ALONE = (b"strict-transport-security", b"max-age=31536000")

ASSETS = ("/static/", "/docs-assets/", "/favicon.ico")


class SecurityHeaders:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_headers(message.get("headers", []), scope)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def with_headers(headers: RawHeaders, scope: Scope) -> RawHeaders:
    """What an answer says for itself of content and caching stays; browsers heed several content policies together."""
    names = {name.lower() for name, _ in headers}
    more = list(ALWAYS)
    if NO_PAGE[0] not in names:
        more.insert(0, NO_PAGE)
    if NOT_KEPT[0] not in names:
        more.append(ASKED_AGAIN if scope["path"].startswith(ASSETS) else NOT_KEPT)
    if scope["scheme"] == "https":
        more.append(HTTPS_ALONE)
    return [*headers, *more]
