"""The API reference at /docs, which works offline, and additions to the OpenAPI document."""

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

from service.access.route_scopes import ADMIN_ONLY, RequiredScope, RouteScopes
from service.access.sessions import COOKIE
from service.schemas.tokens import Scope
from service.web.problems import MEDIA_TYPE

PATH = "/docs"
ASSETS = "/docs-assets"
POLICY = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'"
)
COMPONENT_NAMES = {"CustomDataset": "OwnDataset", "CustomModel": "OwnModel"}
"""Names of schemas in the document, which clients may have in generated code, where the class has another name."""
SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token with one of the required scopes."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The session cookie of a browser that has logged in at /login.",
    },
}


def install_docs(app: FastAPI) -> None:
    """Serve /docs with scripts and styles from this machine, for an application created with docs_url=None."""
    files = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
    app.mount(ASSETS, files, name="docs-assets")
    app.add_api_route(PATH, lambda: _page(app), include_in_schema=False)
    _extend_document(app)


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


def _extend_document(app: FastAPI) -> None:
    """Add to FastAPI's document: summaries from the docstrings, errors as problems (RFC 9457), and required scopes."""
    generate = app.openapi
    routes = RouteScopes()

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _rename_components(document)
            document["components"]["securitySchemes"] = SECURITY
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    summary, _, operation["description"] = operation["description"].partition("\n\n")
                    operation["summary"] = summary.rstrip(".")
                    _document_problems(operation["responses"])
                    operation["security"] = _security(routes.required(method.upper(), path) or ADMIN_ONLY)
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _rename_components(document: dict[str, Any]) -> None:
    """Give schemas the names of COMPONENT_NAMES, in all references too."""
    schemas = document["components"]["schemas"]
    names = {name: COMPONENT_NAMES.get(name, name) for name in schemas}
    document["components"]["schemas"] = {names[name]: schemas[name] for name in sorted(schemas, key=names.__getitem__)}
    _rename_references(document)


def _rename_references(value: Any) -> None:
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _rename_references(child)
    if isinstance(value, dict) and isinstance(reference := value.get("$ref"), str):
        path, _, name = reference.rpartition("/")
        value["$ref"] = f"{path}/{COMPONENT_NAMES.get(name, name)}"


def _document_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400":
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _security(required: frozenset[RequiredScope]) -> list[dict[str, list[str]]]:
    """The scopes of which a call needs one, in OpenAPI's form."""
    scopes = sorted(scope for scope in required if scope in get_args(Scope))
    return [{kind: [scope]} for scope in scopes for kind in SECURITY]
