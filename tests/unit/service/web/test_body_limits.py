"""The body of a request, as slow as its sender likes."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from service.web.body_limits import BodyLimits


def scope(method: str = "POST") -> Scope:
    return {"type": "http", "method": method, "path": "/", "headers": [(b"content-type", b"application/json")]}


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def answer(pieces: Iterable[bytes], *, ends: bool, seconds: float) -> tuple[int, dict[bytes, bytes], bytes]:
    """What comes of a body in pieces, after which there is an end, or nothing ever again."""
    waiting = iter(pieces)
    sent: list[Any] = []

    async def receive() -> Message:
        piece = next(waiting, None)
        if piece is None and not ends:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(BodyLimits(echo, seconds)(scope(), receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_a_body_that_never_ends_is_given_up() -> None:
    status, headers, body = answer([b'{"a":', b" 1"], ends=False, seconds=0.05)

    assert status == 408
    assert headers[b"connection"] == b"close"
    problem = json.loads(body)
    assert problem["code"] == "request_timeout"
    assert problem["detail"] == "the body must arrive within 0.05 seconds"


def test_a_body_in_many_pieces_is_one() -> None:
    pieces = [bytes([byte]) for byte in b'{"a": 1}']
    assert answer(pieces, ends=True, seconds=60.0)[::2] == (200, b'{"a": 1}')
