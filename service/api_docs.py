"""The API's own page at /docs, which works without the internet, and what it says of errors."""

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from service.problems import MEDIA_TYPE

PATH = "/docs"
ASSETS = "/docs-assets"


def install(app: FastAPI) -> None:
    """Serve /docs with its script and style from this machine. The application is made with docs_url=None."""
    files = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
    app.mount(ASSETS, files, name="docs-assets")
    app.add_api_route(PATH, lambda: _page(app), include_in_schema=False)
    _describe_errors(app)


def _page(app: FastAPI) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url=app.openapi_url or "/openapi.json",
        title=f"{app.title} API",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )


def _describe_errors(app: FastAPI) -> None:
    """FastAPI documents every answer as application/json; errors are problems (RFC 9457)."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            for operation in (one for methods in document["paths"].values() for one in methods.values()):
                _as_problems(operation["responses"])
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _as_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400":
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
