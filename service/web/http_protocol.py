"""uvicorn's HTTP protocol with limits on the time and size of a request's head, and on the time of a write.

The body is limited by service.web.body_limits.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection that sends no complete head in time, or reads nothing of its answer for WRITE_SECONDS.

    A head that is too large is answered with 400.
    """

    HEAD_SECONDS = 10.0
    WRITE_SECONDS = 60.0
    HEAD_BYTES = 64 * 1024

    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first head."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.HEAD_SECONDS, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and start the timer if it begins a new head."""
        super().data_received(data)
        if self._in_head and self._timer is None:
            self._timer = self.loop.call_later(self.HEAD_SECONDS, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the timer of a client that does not read: the answer fills the connection's buffer."""
        super().pause_writing()
        self._await_progress()

    def resume_writing(self) -> None:
        """Stop the timer: the client has read."""
        self._stop_write_timer()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Count the bytes of a head from 0."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the bytes of a URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the bytes of a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the timer, because the head is complete."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def _count(self, n_bytes: int) -> None:
        self._head_bytes += n_bytes
        if self._head_bytes > self.HEAD_BYTES:
            raise ValueError("the head of a request is too large")  # stops the parser, and uvicorn answers 400

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _await_progress(self) -> None:
        """Check in WRITE_SECONDS whether the client has read anything of what is waiting now."""
        self._stop_write_timer()
        n_waiting = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(self.WRITE_SECONDS, self._check_progress, n_waiting)

    def _check_progress(self, n_waiting_before: int) -> None:
        if self.transport.get_write_buffer_size() >= n_waiting_before:
            self.transport.abort()
        else:
            self._await_progress()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _too_late(self) -> None:
        self._timer = None
        transport: Any = self.transport
        if self._in_head and not transport.is_closing():
            transport.write(TOO_LATE)
            transport.close()
