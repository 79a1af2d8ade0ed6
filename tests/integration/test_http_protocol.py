"""Requests whose head never ends, over a real connection."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from service.web.http_protocol import BoundedHttp
from tests.waiting import PATIENCE_SECONDS

LARGE = 64 * 1024**2
"""More bytes than the buffers of a connection take."""


class Impatient(BoundedHttp):
    HEAD_SECONDS = 0.5
    HEAD_BYTES = 2000
    WRITE_SECONDS = 0.5


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5 * Impatient.HEAD_SECONDS)
    if scope["path"] == "/large":
        body = b"x" * LARGE
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """A server of a patience that tests can wait for."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(answer, http=Impatient, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield listener.getsockname()
    server.should_exit = True
    thread.join(PATIENCE_SECONDS)
    listener.close()


def talk(address: tuple[str, int], *pieces: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while more := connection.recv(4096):
            received += more
        return received


HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("sent", [b"", b"P", b"GET /", HEAD, HEAD + b"X: "])
def test_a_head_that_does_not_end_is_given_up(address: tuple[str, int], sent: bytes) -> None:
    assert talk(address, sent).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_so_is_the_second_one_of_a_connection(address: tuple[str, int]) -> None:
    answers = talk(address, WHOLE, HEAD)
    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers.endswith(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize("sent", [HEAD + b"X: " + b"x" * 3000, b"GET /" + b"x" * 3000, HEAD + b"a: b\r\n" * 1000])
def test_a_head_that_is_too_large_is_refused(address: tuple[str, int], sent: bytes) -> None:
    assert b" 400 Bad Request" in talk(address, sent + b"\r\n\r\n")


def test_an_answer_may_take_longer_than_a_head(address: tuple[str, int]) -> None:
    request = b"GET /slow HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    assert talk(address, request).startswith(b"HTTP/1.1 200 OK\r\n")


def test_heads_in_pieces_and_requests_in_a_row_are_answered(address: tuple[str, int]) -> None:
    last = WHOLE.replace(b"Host: here", b"Host: here\r\nConnection: close")
    answers = talk(address, WHOLE[:3], WHOLE[3:20], WHOLE[20:], WHOLE, WHOLE + last)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 4


# Answers that are not read

LARGE_REQUEST = b"GET /large HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


def test_a_client_that_does_not_read_is_disconnected(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(LARGE_REQUEST)
        time.sleep(3 * Impatient.WRITE_SECONDS)
        received = 0
        with suppress(ConnectionResetError):
            while more := connection.recv(1024**2):
                received += len(more)
    assert received < LARGE


def test_a_client_that_reads_slowly_gets_all(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(LARGE_REQUEST)
        received = 0
        slow_until = time.monotonic() + 3 * Impatient.WRITE_SECONDS
        while more := connection.recv(1024**2):
            received += len(more)
            if time.monotonic() < slow_until:
                time.sleep(Impatient.WRITE_SECONDS / 20)
    assert received > LARGE
