"""The worker's end of the socket to the process of a user's code."""

import json
import select
import socket

from workers.user_process.channel import Message

MAX_LINE_BYTES = 1024**2
PIECE_BYTES = 65536
SEND_SECONDS = 10.0


class InvalidMessageError(Exception):
    """The process sent something that is not a message, or a message that is too long."""


class Conversation:
    """JSON lines from and to the process of a user's code, which may send anything and may stop to read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(SEND_SECONDS)
        self._readable = select.poll()  # select.select fails where a process has more than 1,024 files open
        self._readable.register(connection, select.POLLIN)
        self._received = bytearray()
        self.has_ended = False

    def next(self, timeout_seconds: float) -> Message | None:
        """The next message, or None if none arrives in time. Raises InvalidMessageError."""
        message = self._take_line()
        if message is None and not self.has_ended and self._readable.poll(timeout_seconds * 1000):
            self._receive()
            message = self._take_line()
        return message

    def send(self, message: Message) -> None:
        """Send a message. It is lost if the process has ended or does not read."""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except (OSError, TimeoutError):
            self.has_ended = True

    def _receive(self) -> None:
        try:
            piece = self._connection.recv(PIECE_BYTES)
        except OSError:
            piece = b""
        self.has_ended = not piece
        self._received += piece

    def _take_line(self) -> Message | None:
        end = self._received.find(b"\n")
        if max(end, 0 if end >= 0 else len(self._received)) > MAX_LINE_BYTES:
            raise InvalidMessageError(f"a message must have at most {MAX_LINE_BYTES} bytes")
        if end < 0:
            return None
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidMessageError(f"a message must be JSON: {error}") from error
        if not isinstance(message, dict) or not isinstance(message.get("call"), str):
            raise InvalidMessageError("a message must name a call")
        return message
