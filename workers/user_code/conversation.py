import json
import select
import socket
from typing import Any

Message = dict[str, Any]

MAX_LINE_BYTES = 1024**2
PIECE_BYTES = 65536
SEND_SECONDS = 10.0


class BrokenConversationError(Exception):
    """The process said what is no message, or too much at a time."""


class Conversation:
    """JSON lines from and to the process of a user's code, which may send anything, or stop to listen."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(SEND_SECONDS)
        self._readable = select.poll()  # select.select fails where a process has more than 1,024 files open
        self._readable.register(connection, select.POLLIN)
        self._heard = bytearray()
        self.has_ended = False

    def next(self, timeout_seconds: float) -> Message | None:
        """The next message, or None when there is none within so long. Raises BrokenConversationError."""
        message = self._take()
        if message is None and not self.has_ended and self._readable.poll(timeout_seconds * 1000):
            self._read()
            message = self._take()
        return message

    def send(self, message: Message) -> None:
        """A process that has ended, or does not listen, misses it."""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except (OSError, TimeoutError):
            self.has_ended = True

    def _read(self) -> None:
        try:
            piece = self._connection.recv(PIECE_BYTES)
        except OSError:
            piece = b""
        self.has_ended = not piece
        self._heard += piece

    def _take(self) -> Message | None:
        end = self._heard.find(b"\n")
        if max(end, 0 if end >= 0 else len(self._heard)) > MAX_LINE_BYTES:
            raise BrokenConversationError(f"a message must have at most {MAX_LINE_BYTES} bytes")
        if end < 0:
            return None
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BrokenConversationError(f"a message must be JSON: {error}") from error
        if not isinstance(message, dict) or not isinstance(message.get("call"), str):
            raise BrokenConversationError("a message must name a call")
        return message
