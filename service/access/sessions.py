"""Logins of browsers. They are in memory alone: after a restart of the service, one logs in again."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from service.access.tokens import digest_of
from service.clock import Clock

COOKIE = "narrows_session"
LIFETIME_SECONDS = 12 * 3600
MAX_SESSIONS = 1000


@dataclass(frozen=True)
class Session:
    """Which token a browser has shown, and until when that counts."""

    token_digest: str
    ends_at: float


class Sessions:
    """Sessions by the digest of their id, which is random and tells nothing of the token."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, token_digest: str) -> str:
        """The id of a new session. When there are too many, the oldest ends."""
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            ends_at = self._clock.monotonic() + LIFETIME_SECONDS
            self._sessions[digest_of(session_id)] = Session(token_digest, ends_at)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return session_id

    def token_of(self, session_id: str) -> str | None:
        """The digest of the token that a session was begun with; None when the session is over."""
        session = self._sessions.get(digest_of(session_id))
        if session is None or session.ends_at <= self._clock.monotonic():
            return None
        return session.token_digest

    def end(self, session_id: str) -> None:
        with self._lock:
            self._sessions.pop(digest_of(session_id), None)
