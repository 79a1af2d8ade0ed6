"""The API's own page at /docs, which works without the internet, and what it says of errors."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any, get_args

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from service.access.route_scopes import CLOSED, RouteScopes
from service.access.sessions import COOKIE
from service.schemas.tokens import Scope
from service.web.problems import MEDIA_TYPE

PATH = "/docs"
ASSETS = "/docs-assets"
POLICY = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'"
)
SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token, whose scopes open a call."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A browser's login, at /login."},
}


def install(app: FastAPI) -> None:
    """Serve /docs with its script and style from this machine. The application is made with docs_url=None."""
    files = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
    app.mount(ASSETS, files, name="docs-assets")
    app.add_api_route(PATH, lambda: _page(app), include_in_schema=False)
    _describe(app)


def _page(app: FastAPI) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url=app.openapi_url or "/openapi.json",
        title=f"{app.title} API",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )
    scripts = re.findall(rb"<script>(.*?)</script>", page.body, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    page.headers["Content-Security-Policy"] = POLICY.format(scripts=" ".join(f"'sha256-{hash}'" for hash in hashes))
    return page


def _describe(app: FastAPI) -> None:
    """FastAPI documents every answer as application/json; errors are problems (RFC 9457). And it knows no scopes."""
    generate = app.openapi
    doors = RouteScopes()

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["components"]["securitySchemes"] = SECURITY
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    _as_problems(operation["responses"])
                    operation["security"] = _security(doors, method.upper(), path)
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _as_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400":
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _security(doors: RouteScopes, method: str, path: str) -> list[dict[str, list[str]]]:
    """The scopes that open a call, one of which is enough."""
    openers = doors.openers(method, path) or CLOSED
    scopes = sorted(opener for opener in openers if opener in get_args(Scope))
    return [{kind: [scope]} for scope in scopes for kind in SECURITY]
