"""Who may call what: every route with the scopes that open it. A route without a row is open to `admin` alone."""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Literal

from starlette.routing import compile_path

from service.schemas.tokens import Scope

Opener = Scope | Literal["anyone", "bootstrap"]
"""anyone: no token is needed; bootstrap: a caller on this machine who sets up the first admin token."""

INCLUDED: Mapping[Scope, frozenset[Opener]] = {
    "read": frozenset({"read"}),
    "submit": frozenset({"submit", "read"}),
    "work": frozenset({"work"}),
    "admin": frozenset({"admin", "submit", "read", "work"}),
}

ROUTES: Mapping[str, tuple[Opener, ...]] = {
    # Whether it runs, and the way in
    "GET /healthz": ("anyone",),
    "GET /readyz": ("anyone",),
    "GET /login": ("anyone",),
    "POST /login": ("anyone",),
    "POST /logout": ("anyone",),
    "GET /favicon.ico": ("anyone",),
    # Looking
    "GET /v1/studies": ("read",),
    "GET /v1/studies/{name}": ("read", "work"),
    "GET /v1/studies/{name}/best": ("read",),
    "GET /v1/studies/{name}/pareto": ("read",),
    "GET /v1/studies/{name}/importance": ("read",),
    "GET /v1/studies/{name}/diagnosis": ("read",),
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
    "GET /metrics": ("read",),
    # Studies
    "POST /v1/studies": ("submit",),
    "PATCH /v1/studies/{name}": ("submit",),
    "POST /v1/studies/{name}/trials": ("submit",),
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
    # The API's own page
    "GET /docs": ("read",),
    "GET /docs-assets/{path:path}": ("read",),
    "GET /openapi.json": ("read", "work"),
    # The Optuna dashboard
    "GET /": ("read",),
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

CLOSED: frozenset[Opener] = frozenset({"admin"})


@cache
def opened_by(*scopes: str) -> frozenset[Opener]:
    """All that a token with these scopes has: its own and the included ones."""
    return frozenset(opener for scope, included in INCLUDED.items() if scope in scopes for opener in included)


class RouteScopes:
    """Finds the row of a request."""

    def __init__(self, routes: Mapping[str, tuple[Opener, ...]] = ROUTES) -> None:
        self._plain: dict[tuple[str, str], frozenset[Opener]] = {}
        self._patterns: defaultdict[str, list[tuple[re.Pattern[str], frozenset[Opener]]]] = defaultdict(list)
        for row, openers in routes.items():
            method, path = row.split(" ")
            if "{" in path:
                self._patterns[method].append((compile_path(path)[0], frozenset(openers)))
            else:
                self._plain[method, path] = frozenset(openers)

    def openers(self, method: str, path: str) -> frozenset[Opener] | None:
        """The scopes that open a path, of which one is enough; None when no row has it."""
        method = "GET" if method == "HEAD" else method
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain
        return next((openers for pattern, openers in self._patterns.get(method, ()) if pattern.match(path)), None)


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
