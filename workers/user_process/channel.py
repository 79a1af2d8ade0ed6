import json
import os
import socket
import threading
from typing import Any

Message = dict[str, Any]


class RefusedError(ValueError):
    """What the code asked for is refused: by the service, for the reason in the message."""


class Channel:
    """JSON lines to and from the worker; one call at a time, whichever thread makes it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._lock = threading.Lock()

    def call(self, call: str, /, **fields: Any) -> Message:
        """The worker's answer. Raises RefusedError, and ValueError for what JSON cannot carry."""
        with self._lock:
            self.send({"call": call, **fields})
            answer = self.receive()
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer

    def send(self, message: Message) -> None:
        try:
            line = json.dumps(message).encode() + b"\n"
        except TypeError as error:
            raise ValueError(f"values must be such as JSON can carry: {error}") from error
        self._connection.sendall(line)

    def receive(self) -> Message:
        line = self._lines.readline()
        if not line:
            os._exit(1)  # the worker has gone
        message: Message = json.loads(line)
        return message
