"""Tokens: made, shown, revoked, and told apart from what only looks like one."""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.access.route_scopes import Opener, opened_by
from service.clock import Clock
from service.errors import TokenExistsError, TokenNotFoundError, UnauthorizedError
from storage import Store, TokenRecord

PREFIX = "narrows_"
"""Lets people, and programs that look for leaked secrets, see what it is."""
SECRET_BYTES = 32
USED_EVERY = timedelta(minutes=1)
OPERATOR = "NARROWS_TOKEN"


def digest_of(secret: str) -> str:
    """What is kept of a secret.

    One round of SHA-256: slow hashes are for what people choose. Nobody guesses 256 random bits, however fast.
    """
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Holder:
    """Who has shown a valid token, and what it opens."""

    name: str
    digest: str
    openers: frozenset[Opener]


class Tokens:
    """The tokens of a service. `operator` is the one that it was started with, which is in no database: an admin."""

    def __init__(self, store: Store, clock: Clock, operator: str | None = None) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._operator = Holder(OPERATOR, digest_of(operator), opened_by("admin")) if operator else None
        self._used: dict[str, datetime] = {}

    # Made and revoked

    def create(self, name: str, scopes: Sequence[str], expires_in_seconds: int | None) -> tuple[TokenRecord, str]:
        """A new token and its secret. The name of one that is no longer valid may be used again.

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
        """End a token now; once revoked, it stays as it is. Raises TokenNotFoundError."""
        with self._lock, self._store.deferred() as committed:
            record = self._store.tokens.get(name)
            if record is None:
                raise TokenNotFoundError(f"no token of this name: {name}")
            if record.revoked_at is None:
                record = self._store.tokens.change(name, revoked_at=self._clock.now())
        self._store.wait(committed)
        return record

    def every(self) -> list[TokenRecord]:
        """All tokens, oldest first."""
        return self._store.tokens.every()

    def last_used_at(self, record: TokenRecord) -> datetime | None:
        return self._used.get(record.name, record.last_used_at)

    # Shown

    def stored(self, secret: str) -> Holder | None:
        """The holder of a stored token; None when nothing is known of it. Raises UnauthorizedError for an ended one."""
        return self._of_record(digest_of(secret))

    def operators(self, secret: str) -> Holder | None:
        """The operator, if this is the token that the service was started with."""
        return self._operator_by(digest_of(secret))

    def holder(self, digest: str) -> Holder:
        """Who has logged in with a token. Raises UnauthorizedError when it is valid no longer."""
        found = self._of_record(digest) or self._operator_by(digest)
        if found is None:
            raise UnauthorizedError("this token is no longer there: log in again")
        return found

    def _of_record(self, digest: str) -> Holder | None:
        record = self._store.tokens.by_digest(digest)
        if record is None or not hmac.compare_digest(record.digest, digest):
            return None
        end = self._end_of(record)
        if end is not None:
            raise UnauthorizedError(end)
        self._used[record.name] = self._clock.now()
        return Holder(record.name, digest, opened_by(*record.scopes))

    def _operator_by(self, digest: str) -> Holder | None:
        known = self._operator
        return known if known is not None and hmac.compare_digest(known.digest, digest) else None

    def _end_of(self, record: TokenRecord) -> str | None:
        """Why a token is not valid any more, or None."""
        if record.revoked_at is not None:
            return f"token {record.name} was revoked at {record.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
        if record.expires_at is not None and record.expires_at <= self._clock.now():
            return f"token {record.name} has expired at {record.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return None

    # Whether there are any

    @property
    def exist(self) -> bool:
        """Whether there are tokens, or ever were: then every call needs one."""
        return self._operator is not None or len(self._store.tokens) > 0

    @property
    def has_had_admin(self) -> bool:
        """Whether somebody can make tokens, or ever could."""
        return self._operator is not None or any("admin" in record.scopes for record in self._store.tokens.every())

    @property
    def has_admin(self) -> bool:
        """Whether somebody can make tokens."""
        return self._operator is not None or any(
            "admin" in record.scopes and self._end_of(record) is None for record in self._store.tokens.every()
        )

    # Kept

    def keep_last_used(self) -> None:
        """Write down when tokens were used, at most once a minute for each, and without waiting for it."""
        for name, used_at in list(self._used.items()):
            with self._lock:
                record = self._store.tokens.get(name)
                stale = record is not None and (
                    record.last_used_at is None or used_at - record.last_used_at >= USED_EVERY
                )
                if stale:
                    with self._store.deferred():
                        self._store.tokens.change(name, last_used_at=used_at)
