"""A client of the event stream on a plain socket. It reads only when a test calls it."""

import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

from tests.server_sent_events import ServerSentEvent, blocks
from tests.waiting import PATIENCE_SECONDS


class EventClient:
    """An open stream. Leaving the context closes it."""

    def __init__(
        self, server: str, *, last_event_id: str | None = None, receive_buffer: int | None = None, **query: str
    ) -> None:
        address = urlsplit(server)
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE_SECONDS)
        self._socket.connect((address.hostname, address.port))
        resume = "" if last_event_id is None else f"Last-Event-ID: {last_event_id}\r\n"
        request = (
            f"GET /v1/events?{urlencode(query)} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Accept: text/event-stream\r\n{resume}\r\n"
        )
        self._socket.sendall(request.encode())
        self._file = self._socket.makefile("rb")
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._socket.close()

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the status and the headers. Must be called first."""
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def open(self) -> Self:
        """Read the head and the opening block. The stream contains every event from here on."""
        status, _ = self.head()
        assert status == 200
        self._blocks = blocks(self._lines())
        self.opening = next(self._blocks)
        return self

    def events(self) -> Iterator[ServerSentEvent]:
        """Events as they arrive, without comments, until the stream ends."""
        return (block for block in self._blocks if block.type is not None)

    def comments(self) -> Iterator[str]:
        """Comments as they arrive, until the stream ends."""
        return (comment for block in self._blocks for comment in block.comments)

    def take(self, n: int) -> list[ServerSentEvent]:
        """The next n events."""
        events = self.events()
        return [next(events) for _ in range(n)]

    def _lines(self) -> Iterator[str]:
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode() for line in lines)
        assert rest == b""

    def _chunks(self) -> Iterator[bytes]:
        """The chunks of the body (RFC 9112, section 7.1). `ended` becomes true when the body ends with a last chunk."""
        while size := self._file.readline():
            chunk = self._file.read(int(size, 16))
            assert self._file.readline() == b"\r\n"
            if not chunk:
                self.ended = True
                return
            yield chunk
