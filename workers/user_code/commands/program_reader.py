"""Read everything that a command writes, on one thread: its outputs, its JSON lines, and its calls of `report`."""

import json
import os
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from workers.user_code.commands.output_scanner import OutputScanner
from workers.user_code.output_tail import OutputTail

PIECE_BYTES = 65_536
REST_SECONDS = 0.005
"""How long to rest after a piece that was not full, so that a program that writes line by line costs few reads."""
MAX_LINE_BYTES = 1024**2
MAX_CONNECTIONS = 1024
MAX_ADDRESS_BYTES = 100
"""A longer path is no address of a socket."""
ANSWER_SECONDS = 1.0

Fields = dict[str, Any]
Answer = Callable[[Fields], None]
"""Sends an answer to the program, which waits for it."""
Take = Callable[[Fields, Answer | None], None]
"""Takes a JSON object that the program has written, with a function to answer it if the program waits."""


class ProgramReader:
    """Reads the outputs of a program, the named pipe for JSON lines and the socket for calls of `report`.

    `take`, `finish` and the scanner are called on the thread. They may wait, and then the program waits too as soon as
    its pipes are full. `finish` is called once, after everything else.
    """

    def __init__(self, folder: Path, tail: OutputTail) -> None:
        """Make the pipe and the socket in a folder that only this user may enter. Raises OSError."""
        self._tail = tail
        self._own_folder: str | None = None
        if len(os.fsencode(folder)) > MAX_ADDRESS_BYTES:
            self._own_folder = tempfile.mkdtemp(prefix="narrows-", dir="/tmp")
        self.reports_path = folder / "reports"
        self.socket_path = Path(self._own_folder or folder) / "s"
        self._selector = selectors.DefaultSelector()
        self._partial: dict[int, bytes] = {}
        self._waiting: set[socket.socket] = set()
        os.mkfifo(self.reports_path, 0o600)
        # Open for writing too: the pipe does not end while no process of the program has it open.
        self._reports = os.open(self.reports_path, os.O_RDWR | os.O_NONBLOCK)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.socket_path))
        self._server.listen()
        self._server.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._outputs: set[int] = set()
        self._ends_at: float | None = None
        self._thread: threading.Thread | None = None

    def start(self, outputs: tuple[int, int], scanner: OutputScanner, take: Take, finish: Callable[[], None]) -> None:
        """Read from now on. `outputs` are the read ends of the standard output and the standard error."""
        self._scanner, self._take, self._finish = scanner, take, finish
        self._outputs.update(outputs)
        for index, descriptor in enumerate(outputs):
            self._selector.register(descriptor, selectors.EVENT_READ, partial(self._read_output, descriptor, index))
        self._selector.register(self._reports, selectors.EVENT_READ, self._read_reports)
        self._selector.register(self._server, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, lambda: None)
        self._thread = threading.Thread(target=self._run, name="program", daemon=True)
        self._thread.start()

    def end_within(self, seconds: float) -> None:
        """Stop reading when all outputs have ended, or after this time: a process that left the group may hold them."""
        if self._ends_at is None:
            self._ends_at = time.monotonic() + seconds
            self._wake.send(b".")

    @property
    def has_ended(self) -> bool:
        """Whether everything was read and `finish` has returned."""
        return self._thread is None or not self._thread.is_alive()

    def close(self) -> None:
        """Free the pipe and the socket. The thread has ended, or ends by itself soon."""
        self.end_within(0.0)
        if self._thread is not None:
            self._thread.join(ANSWER_SECONDS)
        for connection in [*self._waiting, self._server, self._wake, self._woken]:
            connection.close()
        self._selector.close()
        for descriptor in (*self._outputs, self._reports):
            os.close(descriptor)
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    def _run(self) -> None:
        while self._ends_at is None or (self._outputs and time.monotonic() < self._ends_at):
            left = None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())
            for key, _ in self._selector.select(left):
                key.data()
        self._read_reports()
        self._take_line(self._partial.pop(self._reports, b""), None)  # a last line without an end
        self._scanner.finish()
        self._finish()

    def _read_output(self, descriptor: int, index: int) -> None:
        piece = os.read(descriptor, PIECE_BYTES)
        if not piece:
            self._selector.unregister(descriptor)
            self._outputs.remove(descriptor)
            os.close(descriptor)
            return
        self._tail.keep(piece)
        self._scanner.feed(index, piece)
        if len(piece) < PIECE_BYTES:
            time.sleep(REST_SECONDS)

    def _read_reports(self) -> None:
        while True:
            try:
                piece = os.read(self._reports, PIECE_BYTES)
            except BlockingIOError:
                return
            for line in self._lines(self._reports, piece):
                self._take_line(line, None)

    def _accept(self) -> None:
        connection, _ = self._server.accept()
        if len(self._waiting) >= MAX_CONNECTIONS:
            connection.close()
            return
        connection.settimeout(ANSWER_SECONDS)
        self._waiting.add(connection)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._read_call, connection))

    def _read_call(self, connection: socket.socket) -> None:
        """Read a call of `report`: one line for each connection, which the answer ends."""
        piece = b""
        with suppress(OSError):
            piece = connection.recv(PIECE_BYTES)
        lines = self._lines(connection.fileno(), piece)
        if lines or not piece:
            self._selector.unregister(connection)
            self._partial.pop(connection.fileno(), None)
        if lines:
            self._take_line(lines[0], partial(self._answer, connection))
        elif not piece:
            self._close_call(connection)

    def _answer(self, connection: socket.socket, answer: Fields) -> None:
        with suppress(OSError):  # the program waits no longer
            connection.sendall(json.dumps(answer).encode() + b"\n")
        self._close_call(connection)

    def _close_call(self, connection: socket.socket) -> None:
        self._waiting.discard(connection)
        connection.close()

    def _lines(self, source: int, piece: bytes) -> list[bytes]:
        *lines, rest = (self._partial.pop(source, b"") + piece).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            self._tail.tell(f"a JSON line must have at most {MAX_LINE_BYTES} bytes")
            rest = b""
        if rest:
            self._partial[source] = rest
        return lines

    def _take_line(self, line: bytes, answer: Answer | None) -> None:
        if not line.strip() and answer is None:
            return
        try:
            fields = json.loads(line)
            if not isinstance(fields, dict):
                raise TypeError("it is no object")
        except (ValueError, TypeError, RecursionError) as error:
            self._tail.tell(f"a line for NARROWS_REPORTS must be a JSON object: {error}")
            fields = {}
        self._take(fields, answer)
