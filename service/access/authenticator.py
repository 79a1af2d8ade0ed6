"""Authenticates every request and checks that the caller's scopes are enough for the route."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from service.access.login_rate_limiter import LoginRateLimiter
from service.access.origins import check_local_host, check_same_origin, check_same_site, is_loopback
from service.access.route_scopes import ADMIN_ONLY, RequiredScope, RouteScopes, TokenScopes, with_included
from service.access.sessions import COOKIE, Sessions
from service.access.tokens import TokenHolder, Tokens
from service.clock import Clock
from service.errors import InsufficientScopeError, NotFoundError, ServiceError, UnauthorizedError

LOGIN = "/login"
LOCAL = "this machine"
PEER = "narrows.peer"
"""Key of a request's scope with the address and port of its connection, whatever a proxy's headers say."""


@dataclass(frozen=True)
class Caller:
    """The sender of a request: the name of its token or `this machine`, and its scopes.

    `by_token` is False for callers whose credentials a browser sends on its own: a session cookie or the local address.
    """

    name: str
    scopes: TokenScopes
    by_token: bool


class Authenticator:
    """Identifies a caller by its token, by its browser session, or, while no token exists, by its local address."""

    def __init__(self, tokens: Tokens, sessions: Sessions, clock: Clock) -> None:
        self.tokens = tokens
        self.sessions = sessions
        self._rate_limiter = LoginRateLimiter(clock)
        self._routes = RouteScopes()

    def admit(self, scope: Scope) -> Caller | None:
        """Return the caller of a request, or None for a route that is open to anyone.

        Raises UnauthorizedError, ForbiddenError, NotFoundError and TooManyAttemptsError.
        """
        method, path, headers = scope["method"], scope["path"], Headers(scope=scope)
        known = self._routes.required(method, path)
        required = ADMIN_ONLY if known is None else known
        if "anyone" in required:
            return None
        caller = self._identify(scope, headers, required)
        if caller is None:
            raise UnauthorizedError(f"a token is needed: send 'Authorization: Bearer TOKEN', or log in at {LOGIN}")
        if not required & caller.scopes:
            raise _denial(method, path, known, caller)
        if caller.name == LOCAL:
            check_same_site(method, path, headers)
        elif not caller.by_token:  # browsers attach such credentials to the requests of any site's page
            check_same_origin(method, headers, by_browser=True)
        return caller

    def still_admits(self, scope: Scope) -> bool:
        """Check again whether a request may proceed: an event stream may outlast its token."""
        try:
            self.admit(scope)
        except ServiceError:
            return False
        return True

    def _identify(self, scope: Scope, headers: Headers, required: frozenset[RequiredScope]) -> Caller | None:
        """Raises UnauthorizedError, CrossOriginError and TooManyAttemptsError."""
        caller = self._caller_with_credentials(headers, peer_of(scope)) if self.tokens.any_exist else None
        return caller or self._local_caller(headers, address_of(scope), required)

    def _caller_with_credentials(self, headers: Headers, peer: str) -> Caller | None:
        """The caller with a token or a session. Raises UnauthorizedError and TooManyAttemptsError."""
        authorization = headers.get("authorization")
        if authorization is None:
            return self.session_caller(headers)
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise UnauthorizedError("a token must be sent as 'Authorization: Bearer TOKEN'")
        holder = self.check_token(secret.strip().encode("latin-1").decode(errors="surrogateescape"), peer)
        return Caller(holder.name, holder.scopes, by_token=True)

    def session_caller(self, headers: Headers) -> Caller | None:
        """The caller by its session cookie, None without a session.

        Raises UnauthorizedError when the session's token has ended since the login.
        """
        holder = self.sessions.holder(session_id_of(headers))
        return None if holder is None else Caller(holder.name, holder.scopes, by_token=False)

    def _local_caller(self, headers: Headers, address: str, required: frozenset[RequiredScope]) -> Caller | None:
        """A caller on this machine: it is an admin while no token exists, and may then create the first admin token."""
        if self.tokens.has_had_admin or not is_loopback(address):
            return None
        if self.tokens.any_exist and "bootstrap" not in required:
            return None
        check_local_host(headers)
        return Caller(LOCAL, with_included("admin"), by_token=False)

    def check_token(self, secret: str, peer: str) -> TokenHolder:
        """Return the holder of a token.

        Raises UnauthorizedError for a wrong or ended token, and TooManyAttemptsError for a wrong one after too many of
        them from one peer. A valid token is always accepted and an ended one is not counted, so that wrong tokens from
        a shared address lock out no other caller there.
        """
        holder = self.tokens.holder(secret)
        if holder is None:
            self._rate_limiter.check_attempts_left(peer)
            self._rate_limiter.count_failure(peer)
            raise UnauthorizedError("no such token")
        return holder


def _denial(method: str, path: str, known: frozenset[RequiredScope] | None, caller: Caller) -> ServiceError:
    if known is None:  # only an admin learns whether a path without a row exists
        return NotFoundError(f"no such path: {method} {path}")
    required = " or ".join(sorted(known - {"bootstrap"}))
    scopes = ", ".join(sorted(caller.scopes))
    return InsufficientScopeError(
        f"{method} {path} needs a token with the scope {required}; {caller.name} opens {scopes}"
    )


def address_of(scope: Scope) -> str:
    """The caller's network address, empty if it is unknown. A trusted proxy may have told it."""
    client = scope.get("client")
    return client[0] if client else ""


def peer_of(scope: Scope) -> str:
    """The network address that the connection comes from: the last proxy's, which no header can change."""
    peer = scope.get(PEER)
    return peer[0] if peer else address_of(scope)


def session_id_of(headers: Headers) -> str:
    """The session id in the request's cookie, empty if there is none."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
