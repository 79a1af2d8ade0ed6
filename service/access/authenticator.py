"""The gate: every request shows who sends it, and gets no further than that opens."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from service.access.login_rate_limiter import LoginRateLimiter
from service.access.origins import check_local_host, check_same_origin
from service.access.route_scopes import CLOSED, Opener, RouteScopes, is_loopback, opened_by
from service.access.sessions import COOKIE, Sessions
from service.access.tokens import Holder, Tokens
from service.clock import Clock
from service.errors import InsufficientScopeError, NotFoundError, ServiceError, UnauthorizedError

LOGIN = "/login"
LOCAL = "this machine"


@dataclass(frozen=True)
class Caller:
    """Who sends a request."""

    name: str
    openers: frozenset[Opener]
    by_token: bool


class Authenticator:
    """Tells callers apart: by a token, by a browser's session, or by being on this machine while there is no token."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self.tokens = tokens
        self.sessions = Sessions(clock)
        self.attempts = LoginRateLimiter(clock)
        self._doors = RouteScopes()

    def admit(self, scope: Scope) -> Caller | None:
        """Who sends a request, if that matters to its path.

        Raises UnauthorizedError, ForbiddenError, NotFoundError and TooManyAttemptsError for who may not pass.
        """
        method, path, headers = scope["method"], scope["path"], Headers(scope=scope)
        openers = self._doors.openers(method, path)
        if openers is not None and "anyone" in openers:
            return None
        caller = self._caller(headers, address_of(scope), openers or CLOSED)
        if caller is None:
            raise UnauthorizedError(f"a token is needed: send 'Authorization: Bearer TOKEN', or log in at {LOGIN}")
        if not (openers or CLOSED) & caller.openers:
            raise _closed(method, path, openers, caller)
        if not caller.by_token:  # what a browser shows of its own accord, on behalf of any site
            check_same_origin(method, headers, by_browser=caller.name != LOCAL)
        return caller

    def still_admits(self, scope: Scope) -> bool:
        """Whether who was let through would be again: an answer may last longer than a token."""
        try:
            self.admit(scope)
        except ServiceError:
            return False
        return True

    def _caller(self, headers: Headers, address: str, openers: frozenset[Opener]) -> Caller | None:
        """Raises UnauthorizedError, CrossOriginError and TooManyAttemptsError."""
        caller = self._shown(headers, address) if self.tokens.exist else None
        return caller or self._local(headers, address, openers)

    def _shown(self, headers: Headers, address: str) -> Caller | None:
        """Who has shown a token or a session. Raises UnauthorizedError and TooManyAttemptsError."""
        given = headers.get("authorization")
        if given is None:
            return self.logged_in(headers)
        scheme, _, secret = given.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise UnauthorizedError("a token must be sent as 'Authorization: Bearer TOKEN'")
        holder = self.check(secret.strip().encode("latin-1").decode(errors="surrogateescape"), address)
        return Caller(holder.name, holder.openers, by_token=True)

    def logged_in(self, headers: Headers) -> Caller | None:
        """Whose browser it is. Raises UnauthorizedError when the token has ended since the login."""
        digest = self.sessions.token_of(session_id(headers))
        if digest is None:
            return None
        holder = self.tokens.holder(digest)
        return Caller(holder.name, holder.openers, by_token=False)

    def _local(self, headers: Headers, address: str, openers: frozenset[Opener]) -> Caller | None:
        """A caller on this machine: it may do everything without tokens, and then make the first admin's."""
        if self.tokens.has_had_admin or not is_loopback(address):
            return None
        if self.tokens.exist and "bootstrap" not in openers:
            return None
        check_local_host(headers)
        return Caller(LOCAL, opened_by("admin"), by_token=False)

    def check(self, secret: str, address: str) -> Holder:
        """Whose token it is. Raises UnauthorizedError, and TooManyAttemptsError after too many wrong ones.

        Stored tokens, which nobody can guess, are heard even then.
        """
        ended: UnauthorizedError | None = None
        try:
            holder = self.tokens.stored(secret)
        except UnauthorizedError as error:
            holder, ended = None, error
        if holder is not None:
            return holder
        self.attempts.check(address)
        holder = None if ended else self.tokens.operators(secret)
        if holder is None:
            self.attempts.failed(address)
            raise ended or UnauthorizedError("no such token")
        return holder


def _closed(method: str, path: str, openers: frozenset[Opener] | None, caller: Caller) -> ServiceError:
    if openers is None:  # to all but an admin, a path without a row is none
        return NotFoundError(f"no such path: {method} {path}")
    wanted = " or ".join(sorted(openers - {"bootstrap"}))
    has = ", ".join(sorted(caller.openers))
    return InsufficientScopeError(f"{method} {path} needs a token with the scope {wanted}; {caller.name} opens {has}")


def address_of(scope: Scope) -> str:
    """The caller's address, as far as it is known."""
    client = scope.get("client")
    return client[0] if client else ""


def session_id(headers: Headers) -> str:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
