"""The end of what a process writes to its standard output and error."""

import select
import threading
from typing import IO

MAX_BYTES = 1024**2
PIECE_BYTES = 65536
POLL_SECONDS = 1.0
REASON_LINES = 20
REASON_CHARACTERS = 1400


class OutputTail:
    """Keeps the last `max_bytes` that a process writes. A thread reads them, so that the process never waits.

    Of a line that is written anew after a carriage return, as by a progress bar, only the last state is kept.
    """

    def __init__(self, pipe: IO[bytes], max_bytes: int = MAX_BYTES) -> None:
        self._pipe = pipe
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept = bytearray()
        self._n_dropped = 0
        self._line_start = 0
        """Where the last line begins, counted as `n_bytes` is."""
        self._ends_with_return = False
        self.n_written = 0
        """Number of bytes written so far, including those of lines that were written anew."""
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    @property
    def n_bytes(self) -> int:
        """Number of bytes so far, including the first ones that are not kept. Lower after a line was written anew."""
        return self._n_dropped + len(self._kept)

    def content(self, start: int = 0) -> bytes:
        """What was written after the first `start` bytes.

        If its beginning is not kept, a first line says how many bytes are missing.
        """
        with self._lock:
            n_dropped, n_skipped = max(0, self._n_dropped - start), max(0, start - self._n_dropped)
            first = f"[the first {n_dropped} bytes are not kept]\n".encode() if n_dropped else b""
            return first + bytes(self._kept[n_skipped:])

    def last_lines(self) -> str:
        """The last lines, short enough to be part of a trial's reason."""
        with self._lock:
            text = bytes(self._kept[-4 * REASON_CHARACTERS :]).decode(errors="replace")
        return "\n".join(text.rstrip().splitlines()[-REASON_LINES:])[-REASON_CHARACTERS:]

    def finish(self, timeout_seconds: float) -> None:
        """Wait until every writer has closed the pipe, or until the time is over, and stop reading.

        A process that has left the group may hold the pipe open for ever.
        """
        self._thread.join(timeout_seconds)
        self._finished = True

    def _run(self) -> None:
        with self._pipe:
            readable = select.poll()
            readable.register(self._pipe, select.POLLIN)
            while not self._finished:
                if readable.poll(POLL_SECONDS * 1000):
                    piece = self._pipe.read(PIECE_BYTES)
                    if not piece:
                        return
                    self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        with self._lock:
            self.n_written += len(piece)
            if self._ends_with_return:
                piece = b"\r" + piece
            self._ends_with_return = piece.endswith(b"\r")
            *lines, last = piece.rstrip(b"\r").split(b"\n") if self._ends_with_return else piece.split(b"\n")
            for line in lines:
                self._add(line.rstrip(b"\r"))
                self._kept += b"\n"
                self._line_start = self.n_bytes
            self._add(last)
            excess = len(self._kept) - self._max_bytes
            if excess > 0:
                del self._kept[:excess]
                self._n_dropped += excess

    def _add(self, text: bytes) -> None:
        """Add text to the last line; what follows a carriage return replaces the line."""
        _, is_new, after = text.rpartition(b"\r")
        if is_new:
            del self._kept[max(0, self._line_start - self._n_dropped) :]
        self._kept += after
