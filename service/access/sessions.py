"""Browser sessions. They are stored, so that users stay logged in when the service restarts."""

import hashlib
import hmac
import secrets
import threading
from datetime import datetime, timedelta

from service.access.tokens import TokenHolder, Tokens, digest_of
from service.clock import Clock
from service.errors import UnauthorizedError
from storage import SessionRecord, Store

COOKIE = "narrows_session"
LIFETIME_SECONDS = 12 * 3600
MAX_SESSIONS = 1000
MAX_SESSIONS_OF_TOKEN = 20


class Sessions:
    """Open sessions by the digest of their id. The id is random and only in the browser's cookie.

    A session is tied to its token by a seal that only its id can check. So a stored session tells neither a secret of
    the operator nor anything that a browser could send.
    """

    def __init__(self, store: Store, tokens: Tokens, clock: Clock, max_sessions: int = MAX_SESSIONS) -> None:
        self._store = store
        self._max_sessions = max_sessions
        self._tokens = tokens
        self._clock = clock
        self._lock = threading.Lock()

    async def start(self, holder: TokenHolder) -> str:
        """Start a session and return its id, after the commit. Raises DatabaseUnavailableError.

        The oldest session of the token ends above MAX_SESSIONS_OF_TOKEN, so that no token ends those of others. Above
        `max_sessions` the oldest session of all ends.
        """
        session_id, now = secrets.token_urlsafe(32), self._clock.now()
        ends_at = now + timedelta(seconds=LIFETIME_SECONDS)
        record = SessionRecord(
            digest_of(session_id), holder.name, _seal(session_id, holder.digest), started_at=now, ends_at=ends_at
        )
        with self._lock, self._store.deferred() as committed:
            for digest in self._over_before_another(holder.name, now):
                self._store.sessions.remove(digest)
            self._store.sessions.put(record)
        await self._store.wait_all([committed])
        return session_id

    def _over_before_another(self, token_name: str, now: datetime) -> list[str]:
        """The digests of the sessions that have expired, and of the oldest ones that leave no room for one more."""
        every = self._store.sessions.every()
        over = {session.digest for session in every if session.ends_at <= now}
        of_token = [one.digest for one in every if one.token_name == token_name and one.digest not in over]
        over.update(of_token[: max(0, len(of_token) - MAX_SESSIONS_OF_TOKEN + 1)])
        left = [session.digest for session in every if session.digest not in over]
        return [*over, *left[: max(0, len(left) - self._max_sessions + 1)]]

    def holder(self, session_id: str) -> TokenHolder | None:
        """The holder of the token that a session was started with; None if the session is unknown or over.

        Raises UnauthorizedError when the token has ended since, or another one has its name.
        """
        session = self._store.sessions.get(digest_of(session_id))
        if session is None or session.ends_at <= self._clock.now():
            return None
        for token_digest in self._tokens.digests_of(session.token_name):
            if hmac.compare_digest(session.seal, _seal(session_id, token_digest)):
                return self._tokens.holder_by_digest(token_digest)
        raise UnauthorizedError("this token no longer exists: log in again")

    async def end(self, session_id: str) -> None:
        """End a session if it is open, and return after the commit. Raises DatabaseUnavailableError."""
        digest = digest_of(session_id)
        if self._store.sessions.get(digest) is None:
            return
        with self._lock, self._store.deferred() as committed:
            self._store.sessions.remove(digest)
        await self._store.wait_all([committed])


def _seal(session_id: str, token_digest: str) -> str:
    """Ties a session to a token. Without the session's id it says nothing about the token."""
    return hmac.new(session_id.encode(), token_digest.encode(), hashlib.sha256).hexdigest()
