"""Browser sessions. They are kept only in memory: after a restart of the service, users log in again."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from service.access.tokens import digest_of
from service.clock import Clock

COOKIE = "narrows_session"
LIFETIME_SECONDS = 12 * 3600
MAX_SESSIONS = 1000
MAX_SESSIONS_OF_TOKEN = 20


@dataclass(frozen=True)
class Session:
    """A browser session: the digest of its token and its end on the monotonic clock, in seconds."""

    token_digest: str
    ends_at: float


class Sessions:
    """Open sessions, stored by the digest of their id. The id is random, so it reveals nothing about the token."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def start(self, token_digest: str) -> str:
        """Start a session and return its id.

        The oldest session of the token ends above MAX_SESSIONS_OF_TOKEN, so that no token ends those of others. Above
        MAX_SESSIONS the oldest session of all ends.
        """
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            of_token = [key for key, session in self._sessions.items() if session.token_digest == token_digest]
            if len(of_token) >= MAX_SESSIONS_OF_TOKEN:
                del self._sessions[of_token[0]]
            ends_at = self._clock.monotonic() + LIFETIME_SECONDS
            self._sessions[digest_of(session_id)] = Session(token_digest, ends_at)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return session_id

    def token_digest(self, session_id: str) -> str | None:
        """The digest of the token that the session was started with; None if the session is unknown or over."""
        session = self._sessions.get(digest_of(session_id))
        if session is None or session.ends_at <= self._clock.monotonic():
            return None
        return session.token_digest

    def end(self, session_id: str) -> None:
        """End a session if it is open."""
        with self._lock:
            self._sessions.pop(digest_of(session_id), None)
