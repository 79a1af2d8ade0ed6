"""Requests whose head never ends, over a real connection."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from service.web.http_protocol import BoundedHttp
from tests.waiting import PATIENCE_SECONDS, until

LARGE = 64 * 1024**2
"""More bytes than the buffers of a connection take."""


Address = tuple[str, int]


class Patient(BoundedHttp):
    HEAD_BYTES = 2000


class Impatient(Patient):
    HEAD_SECONDS = 0.5
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


@contextmanager
def serving(protocol: type[BoundedHttp]) -> Iterator[tuple[uvicorn.Server, Address]]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(answer, http=protocol, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started, "the server has started")
        yield server, listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        listener.close()


@pytest.fixture(scope="module")
def impatient() -> Iterator[tuple[uvicorn.Server, Address]]:
    """A server whose limits tests can wait for."""
    with serving(Impatient) as server_and_address:
        yield server_and_address


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """A server that closes no connection of a test whose thread has to wait for a processor."""
    with serving(Patient) as (_server, address):
        yield address


def talk(address: Address, *pieces: bytes) -> bytes:
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
def test_a_head_that_does_not_end_is_given_up(impatient: tuple[uvicorn.Server, Address], sent: bytes) -> None:
    assert talk(impatient[1], sent).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_so_is_the_second_one_of_a_connection(impatient: tuple[uvicorn.Server, Address]) -> None:
    answers = talk(impatient[1], WHOLE + HEAD)
    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers.endswith(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize("sent", [HEAD + b"X: " + b"x" * 3000, b"GET /" + b"x" * 3000, HEAD + b"a: b\r\n" * 1000])
def test_a_head_that_is_too_large_is_refused(address: Address, sent: bytes) -> None:
    assert b" 400 Bad Request" in talk(address, sent + b"\r\n\r\n")


def test_an_answer_may_take_longer_than_a_head(impatient: tuple[uvicorn.Server, Address]) -> None:
    request = b"GET /slow HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    assert talk(impatient[1], request).startswith(b"HTTP/1.1 200 OK\r\n")


def test_heads_in_pieces_and_requests_in_a_row_are_answered(address: Address) -> None:
    last = WHOLE.replace(b"Host: here", b"Host: here\r\nConnection: close")
    answers = talk(address, WHOLE[:3], WHOLE[3:20], WHOLE[20:], WHOLE, WHOLE + last)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 4


# Answers that are not read


def test_a_client_that_does_not_read_is_disconnected(impatient: tuple[uvicorn.Server, Address]) -> None:
    server, address = impatient
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        until(lambda: server.server_state.connections, "the server has the connection")
        until(lambda: not server.server_state.connections, "the server has given the connection up")
        received = 0
        with suppress(ConnectionResetError):
            while more := connection.recv(1024**2):
                received += len(more)
    assert received < LARGE
