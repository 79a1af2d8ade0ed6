"""The limit on the time of a write, with a clock and a connection of the test's own.

tests/integration/test_http_protocol.py has the limits over real connections.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.web.http_protocol import BoundedHttp


class Timer:
    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds = seconds
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: object) -> Timer:
        self.timers.append(Timer(seconds, lambda: call(*arguments)))
        return self.timers[-1]


class Connection:
    """A connection whose client reads what the test says."""

    def __init__(self) -> None:
        self.n_waiting = 0
        self.aborted = False

    def get_extra_info(self, _name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.n_waiting

    def abort(self) -> None:
        self.aborted = True


async def no_application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("no request is made")


class Writing:
    """A protocol whose answer has just filled the buffer of its connection."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.connection = Connection()
        config = uvicorn.Config(no_application, lifespan="off", log_config=None)
        self.protocol = BoundedHttp(config, ServerState(), {}, cast(asyncio.AbstractEventLoop, self.loop))
        self.protocol.connection_made(cast(asyncio.Transport, self.connection))
        self.connection.n_waiting = 100
        self.protocol.pause_writing()

    def pass_time(self) -> None:
        """Let the last timer end."""
        timer = self.loop.timers[-1]
        assert timer.seconds == BoundedHttp.WRITE_SECONDS
        assert not timer.cancelled
        timer.call()


@pytest.fixture
def writing() -> Writing:
    return Writing()


def test_a_client_that_reads_something_in_time_is_waited_for(writing: Writing) -> None:
    for n_waiting in (99, 60, 1):
        writing.connection.n_waiting = n_waiting
        writing.pass_time()
    assert not writing.connection.aborted


def test_one_that_stops_reading_is_disconnected(writing: Writing) -> None:
    writing.connection.n_waiting = 60
    writing.pass_time()
    writing.pass_time()
    assert writing.connection.aborted


def test_one_that_has_read_all_has_no_limit(writing: Writing) -> None:
    writing.protocol.resume_writing()
    assert writing.loop.timers[-1].cancelled


def test_a_lost_connection_leaves_no_timer(writing: Writing) -> None:
    writing.protocol.connection_lost(ConnectionResetError())
    assert all(timer.cancelled for timer in writing.loop.timers)
