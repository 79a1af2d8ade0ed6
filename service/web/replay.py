"""Passes a body that was read already on to the application."""

from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive


def replay_body(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A `receive` that returns a body that was already read, and afterwards further messages (a disconnect)."""
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
