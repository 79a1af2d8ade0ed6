"""The scopes that each route requires. A route without a row requires `admin`."""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Literal

from starlette.routing import compile_path

from service.schemas.tokens import Scope

TokenScopes = frozenset[Scope]
RequiredScope = Scope | Literal["anyone", "bootstrap"]
"""anyone: no token is needed; bootstrap: a local caller that creates the first admin token may also call the route."""

INCLUDED: Mapping[Scope, TokenScopes] = {
    "read": frozenset({"read"}),
    "submit": frozenset({"submit", "read"}),
    "work": frozenset({"work"}),
    "admin": frozenset({"admin", "submit", "read", "work"}),
}

ROUTES: Mapping[str, tuple[RequiredScope, ...]] = {
    # Health and login
    "GET /healthz": ("anyone",),
    "GET /readyz": ("anyone",),
    "GET /login": ("anyone",),
    "POST /login": ("anyone",),
    "POST /logout": ("anyone",),
    "GET /favicon.ico": ("anyone",),
    # Reading
    "GET /v1/studies": ("read",),
    "GET /v1/studies/{name}": ("read", "work"),
    "GET /v1/studies/{name}/best": ("read",),
    "GET /v1/studies/{name}/pareto": ("read",),
    "GET /v1/studies/{name}/importance": ("read",),
    "GET /v1/studies/{name}/diagnosis": ("read",),
    "GET /v1/studies/{name}/curves": ("read",),
    "GET /v1/studies/{name}/table": ("read",),
    "GET /v1/studies/{name}/progress": ("read",),
    "GET /v1/studies/{name}/export": ("read",),
    "GET /v1/studies/{name}/final": ("read",),
    "GET /v1/studies/{name}/rounds": ("read",),
    "GET /v1/studies/{name}/imports": ("read",),
    "GET /v1/studies/{name}/imports/{number}": ("read",),
    "GET /v1/studies/{name}/trials": ("read",),
    "GET /v1/studies/{name}/trials/{number}": ("read",),
    "GET /v1/studies/{name}/trials/{number}/curves": ("read",),
    "GET /v1/studies/{name}/trials/{number}/artifacts": ("read", "work"),
    "GET /v1/artifacts/{name}/{number}/{artifact}": ("read", "work"),
    "GET /v1/events": ("read",),
    "GET /v1/workers": ("read",),
    "GET /v1/session": ("read", "work"),
    "GET /metrics": ("read",),
    # Studies
    "POST /v1/studies": ("submit",),
    "POST /v1/convert": ("submit",),
    "PATCH /v1/studies/{name}": ("submit",),
    "POST /v1/studies/{name}/trials": ("submit",),
    "POST /v1/studies/{name}/trials/{number}/retry": ("submit",),
    "POST /v1/studies/{name}/final": ("submit",),
    "POST /v1/studies/{name}/narrow": ("submit",),
    "POST /v1/studies/{name}/imports": ("submit",),
    "DELETE /v1/studies/{name}": ("admin",),
    # Workers
    "POST /v1/claims": ("work",),
    "POST /v1/reports": ("work",),
    "POST /v1/leases/renew": ("work",),
    "POST /v1/leases/{lease_id}/complete": ("work",),
    "POST /v1/leases/{lease_id}/fail": ("work",),
    "POST /v1/leases/{lease_id}/release": ("work",),
    "POST /v1/leases/{lease_id}/prune": ("work",),
    "POST /v1/leases/{lease_id}/pause": ("work",),
    "POST /v1/leases/{lease_id}/suggest": ("work",),
    "POST /v1/leases/{lease_id}/user-attrs": ("work",),
    "POST /v1/leases/{lease_id}/constraints": ("work",),
    "PUT /v1/artifacts/{lease_id}/{artifact}": ("work",),
    # Tokens
    "GET /v1/tokens": ("admin",),
    "POST /v1/tokens": ("admin", "bootstrap"),
    "DELETE /v1/tokens/{token}": ("admin",),
    # The API reference
    "GET /docs": ("read",),
    "GET /docs-assets/{path:path}": ("read",),
    "GET /openapi.json": ("read", "work"),
    # The web interface
    "GET /": ("read",),
    "GET /studies/{name}": ("read",),
    "GET /studies/{name}/trials/{number}": ("read",),
    "GET /workers": ("read",),
    "GET /new": ("read",),
    "GET /compare": ("read",),
    "GET /assets/{digest}/{path:path}": ("read",),
    # The Optuna dashboard
    "GET /dashboard": ("read",),
    "GET /dashboard/{rest:path}": ("read",),
    "GET /static/{rest:path}": ("read",),
    "GET /csv/{rest:path}": ("read",),
    "GET /api/{rest:path}": ("read",),
    "DELETE /api/studies/{study_id:int}": ("admin",),
    "PUT /api/studies/{study_id:int}/note": ("admin",),
    "PUT /api/studies/{study_id:int}/{trial_id:int}/note": ("admin",),
    "POST /api/trials/{trial_id:int}/tell": ("admin",),
    "POST /api/trials/{trial_id:int}/user-attrs": ("admin",),
    "POST /api/{rest:path}": ("admin",),
    "PUT /api/{rest:path}": ("admin",),
    "PATCH /api/{rest:path}": ("admin",),
    "DELETE /api/{rest:path}": ("admin",),
}

ADMIN_ONLY: frozenset[RequiredScope] = frozenset({"admin"})


@cache
def with_included(*scopes: str) -> TokenScopes:
    """The scopes of a token together with the scopes that they include."""
    return frozenset(one for scope, included in INCLUDED.items() if scope in scopes for one in included)


class RouteScopes:
    """Finds the required scopes of a request in the table ROUTES."""

    def __init__(self) -> None:
        self._plain: dict[tuple[str, str], frozenset[RequiredScope]] = {}
        self._patterns: defaultdict[str, list[tuple[re.Pattern[str], frozenset[RequiredScope]]]] = defaultdict(list)
        for row, scopes in ROUTES.items():
            method, path = row.split(" ")
            if "{" in path:
                self._patterns[method].append((compile_path(path)[0], frozenset(scopes)))
            else:
                self._plain[method, path] = frozenset(scopes)

    def required(self, method: str, path: str) -> frozenset[RequiredScope] | None:
        """The scopes of which a call needs one; None for a path without a row."""
        method = "GET" if method == "HEAD" else method
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain
        return next((scopes for pattern, scopes in self._patterns.get(method, ()) if pattern.match(path)), None)
