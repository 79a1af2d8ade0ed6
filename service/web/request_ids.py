"""A name for every request: the client's own or a fresh one, in the answer's headers and in every line of the log."""

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
RAW_HEADER = HEADER.lower().encode()
SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")


@dataclass(slots=True)
class CurrentRequest:
    """The request at hand, and what it turned out to be about."""

    id: str
    scope: Scope
    study: str | None = None
    trial: int | None = None
    lease: str | None = None

    def about(self) -> dict[str, Any]:
        """Study, trial and lease as far as they are known: from what was found, else from the path."""
        template = getattr(self.scope.get("route"), "path", "")
        path = self.scope.get("path_params", {})
        named = {
            "study": path.get("name") if "/studies/{name}" in template else None,
            "trial": path.get("number") if "/trials/{number}" in template else None,
            "lease": path.get("lease_id"),
        }
        found = {"study": self.study, "trial": self.trial, "lease": self.lease}
        return {name: found[name] if found[name] is not None else named[name] for name in found}


_current: ContextVar[CurrentRequest | None] = ContextVar("narrows_request", default=None)


def current_request() -> CurrentRequest | None:
    return _current.get()


def request_id() -> str | None:
    """The id of the request at hand, or None outside of one."""
    current = _current.get()
    return None if current is None else current.id


def concerns(study: str, trial: int, lease: str) -> None:
    """Note what the request at hand is about, for the log."""
    current = _current.get()
    if current is not None:
        current.study, current.trial, current.lease = study, trial, lease


class RequestIds:
    """Names requests. The outermost of our middleware, so that every answer of ours carries the name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _given(scope) or secrets.token_hex(8)
        _current.set(CurrentRequest(name, scope))  # stays: a failure is answered and logged outside of here
        header = (RAW_HEADER, name.encode())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_named)


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == RAW_HEADER:
            return value.decode() if SANE.fullmatch(value) else None
    return None
