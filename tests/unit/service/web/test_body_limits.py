"""The body of a request, as slow as its sender likes."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.access.authenticator import Caller
from service.access.route_scopes import with_included
from service.web import body_limits, yaml_process
from service.web.body_limits import MAX_BODY_BYTES, MAX_STRANGER_BYTES, BodyLimits
from service.web.own_process import Limits, OwnProcesses

KNOWN = Caller("worker", with_included("work"), by_token=True)
JSON_TYPE = b"application/json"
YAML_TYPE = b"application/yaml"


def scope(caller: Caller | None, kind: bytes, **headers: bytes) -> Scope:
    more = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    state = {"caller": caller}
    return {"type": "http", "method": "POST", "path": "/", "state": state, "headers": [(b"content-type", kind), *more]}


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def answer(
    pieces: Iterable[bytes],
    *,
    ends: bool = True,
    seconds: float = 60.0,
    caller: Caller | None = KNOWN,
    kind: bytes = JSON_TYPE,
    **headers: bytes,
) -> tuple[int, dict[bytes, bytes], bytes]:
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

    asyncio.run(BodyLimits(echo, OwnProcesses(), seconds)(scope(caller, kind, **headers), receive, send))
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


# Callers who have shown no token


def endless(read: list[int]) -> Iterable[bytes]:
    while True:
        read.append(1024)
        yield b"x" * 1024


def test_a_stranger_sends_no_more_than_a_form() -> None:
    read: list[int] = []

    status, headers, body = answer(endless(read), caller=None)

    assert (status, headers[b"connection"]) == (422, b"close")
    assert json.loads(body)["detail"] == f"body: body must be at most {MAX_STRANGER_BYTES} bytes"
    assert sum(read) <= MAX_STRANGER_BYTES + 1024


@pytest.mark.parametrize(("caller", "limit"), [(None, MAX_STRANGER_BYTES), (KNOWN, MAX_BODY_BYTES)])
def test_a_body_that_says_to_be_too_large_is_not_read(caller: Caller | None, limit: int) -> None:
    read: list[int] = []
    assert answer(endless(read), caller=caller, content_length=b"%d" % (limit + 1))[0] == 422
    assert answer(endless(read), caller=caller, content_length=b"9" * 5000)[0] == 422
    assert read == []


def test_a_strangers_body_is_not_parsed() -> None:
    deep = b"[" * 1000
    assert answer([deep], caller=None, kind=YAML_TYPE)[::2] == (200, deep)
    assert answer([deep], caller=KNOWN, kind=JSON_TYPE)[0] == 422


def test_a_stranger_has_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limits, "STRANGER_SECONDS", 0.05)
    status, _, body = answer([b"a"], ends=False, seconds=60.0, caller=None)
    assert status == 408
    assert json.loads(body)["detail"] == "the body must arrive within 0.05 seconds"


# YAML of callers who are known


@pytest.mark.processes
def test_large_yaml_is_converted_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_here(_text: bytes) -> bytes:
        raise AssertionError("converted inside of the service")

    monkeypatch.setattr(yaml_process, "json_of_yaml", not_here)
    values = list(range(10_000))
    text = "a:\n" + "".join(f"- {value}\n" for value in values)
    assert len(text) > body_limits.MAX_YAML_AT_ONCE

    status, _, body = answer([text.encode()], kind=YAML_TYPE)

    assert (status, json.loads(body)) == (200, {"a": values})


@pytest.mark.parametrize("size", [10, pytest.param(100_000, marks=pytest.mark.processes)])
def test_malformed_yaml_is_refused_with_its_line_at_any_size(size: int) -> None:
    status, _, body = answer([b"a: 1\n" + b"# comment\n" * (size // 10) + b"b: [1\n"], kind=YAML_TYPE)
    assert status == 422
    assert json.loads(body)["detail"].startswith(f"body: malformed YAML: line {size // 10 + 3}")


@pytest.mark.processes
def test_yaml_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limits, "YAML_LIMITS", Limits(seconds=0.001, memory_bytes=2 * 1024**3))
    status, _, body = answer([b"- a\n" * 10_000], kind=YAML_TYPE)
    assert status == 422
    assert "took longer than 0.001 s" in json.loads(body)["detail"]
