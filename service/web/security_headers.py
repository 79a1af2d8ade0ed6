"""The middleware that adds security headers to every answer."""

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
NO_CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'")
"""For answers that are not pages: a browser that renders one anyway loads and runs nothing. Pages set their own."""
NO_STORE = (b"cache-control", b"no-store")
NO_CACHE = (b"cache-control", b"no-cache")
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")

ASSETS = ("/static/", "/docs-assets/", "/favicon.ico")


class SecurityHeaders:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_security_headers(message.get("headers", []), scope)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def with_security_headers(headers: RawHeaders, scope: Scope) -> RawHeaders:
    """The headers of an answer together with the security headers.

    A content policy or caching rule of the answer itself is kept. Browsers apply several content policies together.
    """
    names = {name.lower() for name, _ in headers}
    added = list(ALWAYS)
    if NO_CONTENT_POLICY[0] not in names:
        added.insert(0, NO_CONTENT_POLICY)
    if NO_STORE[0] not in names:
        added.append(NO_CACHE if scope["path"].startswith(ASSETS) else NO_STORE)
    if scope["scheme"] == "https":
        added.append(HTTPS_ONLY)
    return [*headers, *added]
