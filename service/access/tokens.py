"""Creates, revokes and verifies tokens."""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.access.route_scopes import TokenScopes, with_included
from service.clock import Clock
from service.errors import TokenExistsError, TokenNotFoundError, UnauthorizedError
from storage import Store, TokenRecord

PREFIX = "narrows_"
"""Makes a token recognizable to people and to scanners for leaked secrets."""
SECRET_BYTES = 32
LAST_USED_RESOLUTION = timedelta(minutes=1)
OPERATOR = "NARROWS_TOKEN"


def digest_of(secret: str) -> str:
    """The SHA-256 digest that is stored instead of a secret.

    One round is enough: slow hashes protect passwords that people choose, and nobody can guess 256 random bits.
    """
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class TokenHolder:
    """The name, digest and scopes of a valid token."""

    name: str
    digest: str
    scopes: TokenScopes


class Tokens:
    """The tokens of a service. `operator` is the secret that the service was started with, an admin token.

    The operator token is not in the database.
    """

    def __init__(self, store: Store, clock: Clock, operator: str | None = None) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._operator = TokenHolder(OPERATOR, digest_of(operator), with_included("admin")) if operator else None
        self._used: dict[str, datetime] = {}

    def create(self, name: str, scopes: Sequence[str], expires_in_seconds: int | None) -> tuple[TokenRecord, str]:
        """Create a token and return its record and secret. The name of a revoked or expired token may be reused.

        Raises TokenExistsError.
        """
        now = self._clock.now()
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        expires_at = None if expires_in_seconds is None else now + timedelta(seconds=expires_in_seconds)
        record = TokenRecord(name, digest_of(secret), sorted(set(scopes)), now, expires_at)
        with self._lock, self._store.deferred() as committed:
            known = self._store.tokens.get(name)
            if known is not None and self._end_of(known) is None:
                raise TokenExistsError(f"a token of this name exists: {name}; revoke it first, or choose another name")
            self._store.tokens.put(record)
            self._used.pop(name, None)
        self._store.wait(committed)
        return record, secret

    def revoke(self, name: str) -> TokenRecord:
        """Revoke a token; a revoked one is returned unchanged. Raises TokenNotFoundError."""
        with self._lock, self._store.deferred() as committed:
            record = self._store.tokens.get(name)
            if record is None:
                raise TokenNotFoundError(f"no token of this name: {name}")
            if record.revoked_at is None:
                record = self._store.tokens.change(name, revoked_at=self._clock.now())
        self._store.wait(committed)
        return record

    def all_records(self) -> list[TokenRecord]:
        """All stored tokens, oldest first."""
        return self._store.tokens.every()

    def with_last_use(self, record: TokenRecord) -> TokenRecord:
        """The record with the time of its last use, which may not be stored yet."""
        return replace(record, last_used_at=self._used.get(record.name, record.last_used_at))

    def holder(self, secret: str) -> TokenHolder | None:
        """The holder of a token, stored or the operator's; None for an unknown secret.

        Raises UnauthorizedError for a token that has ended.
        """
        return self._by_digest(digest_of(secret))

    def digests_of(self, name: str) -> list[str]:
        """The digests of the tokens with this name: the stored one's, also if it has ended, and the operator's."""
        record, operator = self._store.tokens.get(name), self._operator
        stored = [] if record is None else [record.digest]
        return stored if operator is None or operator.name != name else [*stored, operator.digest]

    def holder_by_digest(self, digest: str) -> TokenHolder:
        """The holder of the token with this digest. Raises UnauthorizedError if the token is no longer valid."""
        holder = self._by_digest(digest)
        if holder is None:
            raise UnauthorizedError("this token no longer exists: log in again")
        return holder

    def _by_digest(self, digest: str) -> TokenHolder | None:
        return self._stored_by_digest(digest) or self._operator_by_digest(digest)

    def _stored_by_digest(self, digest: str) -> TokenHolder | None:
        record = self._store.tokens.by_digest(digest)
        if record is None or not hmac.compare_digest(record.digest, digest):
            return None
        end = self._end_of(record)
        if end is not None:
            raise UnauthorizedError(end)
        self._used[record.name] = self._clock.now()
        return TokenHolder(record.name, digest, with_included(*record.scopes))

    def _operator_by_digest(self, digest: str) -> TokenHolder | None:
        operator = self._operator
        return operator if operator is not None and hmac.compare_digest(operator.digest, digest) else None

    def _end_of(self, record: TokenRecord) -> str | None:
        """Why a token is no longer valid, or None while it is."""
        if record.revoked_at is not None:
            return f"token {record.name} was revoked at {record.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
        if record.expires_at is not None and record.expires_at <= self._clock.now():
            return f"token {record.name} has expired at {record.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return None

    @property
    def any_exist(self) -> bool:
        """Whether any token exists or ever existed: from then on every call needs one."""
        return self._operator is not None or len(self._store.tokens) > 0

    @property
    def has_had_admin(self) -> bool:
        """Whether an admin token exists or ever existed."""
        return self._operator is not None or any("admin" in record.scopes for record in self._store.tokens.every())

    @property
    def has_admin(self) -> bool:
        """Whether a valid admin token exists."""
        return self._operator is not None or any(
            "admin" in record.scopes and self._end_of(record) is None for record in self._store.tokens.every()
        )

    def save_last_used(self) -> None:
        """Store when tokens were last used, at most once a minute for each token. It does not wait for the commit."""
        for name, used_at in list(self._used.items()):
            with self._lock:
                record = self._store.tokens.get(name)
                stale = record is not None and (
                    record.last_used_at is None or used_at - record.last_used_at >= LAST_USED_RESOLUTION
                )
                if stale:
                    with self._store.deferred():
                        self._store.tokens.change(name, last_used_at=used_at)
