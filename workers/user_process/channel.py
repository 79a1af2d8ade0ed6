"""The code's end of the socket to the worker."""

import json
import os
import socket
import threading
from typing import Any

Message = dict[str, Any]
"""One JSON object, sent as one line. Its field `call` says what it is."""


class RefusedError(ValueError):
    """The service refused what the code asked for; the message has the reason."""


class Channel:
    """JSON lines to and from the worker. Threads may share it: one call is made at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._lock = threading.Lock()

    def call(self, call: str, /, **fields: Any) -> Message:
        """Send a call and return the worker's answer.

        Raises RefusedError when the answer is an error, and ValueError when JSON cannot represent a field.
        """
        with self._lock:
            self.send({"call": call, **fields})
            answer = self.receive()
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer

    def send(self, message: Message) -> None:
        """Send a message without waiting for an answer. Raises ValueError when JSON cannot represent a value."""
        try:
            line = json.dumps(message).encode() + b"\n"
        except TypeError as error:
            raise ValueError(f"values must be of types that JSON can represent: {error}") from error
        self._connection.sendall(line)

    def receive(self) -> Message:
        """Wait for the next message of the worker. Ends this process when the worker is gone."""
        line = self._lines.readline()
        if not line:
            os._exit(1)
        message: Message = json.loads(line)
        return message
