"""The end of what a process writes to its standard output and error."""

import select
import threading
from collections.abc import Callable
from typing import IO

MAX_BYTES = 1024**2
PIECE_BYTES = 65536
POLL_SECONDS = 1.0
LAST_SECONDS = 30.0
"""How long the reading of what is in the pipe at the end may take."""
MAX_LAST_PIECES = 16
"""Pieces of it that are read; a process that has left the group may write for ever."""
REASON_LINES = 20
REASON_CHARACTERS = 1400


class OutputTail:
    """Keeps the last `max_bytes` that a process writes. A thread reads a pipe, so that the process never waits.

    Of a line that is written anew after a carriage return, as by a progress bar, only the last state is kept.
    """

    def __init__(
        self, pipe: IO[bytes] | None, max_bytes: int = MAX_BYTES, also: Callable[[bytes], None] = lambda _: None
    ) -> None:
        """`pipe`: None if `keep` is given all that the process writes. `also` is called with each piece, too."""
        self._max_bytes = max_bytes
        self._also = also
        self._lock = threading.Lock()
        self._kept = bytearray()
        self._n_dropped = 0
        self._line_start = 0
        """Where the last line begins, counted as `n_bytes` is."""
        self._ends_with_return = False
        self.n_written = 0
        """Number of bytes written so far, including those of lines that were written anew."""
        self._finished = False
        self._thread: threading.Thread | None = None
        if pipe is not None:
            self._thread = threading.Thread(target=self._run, args=(pipe,), name="output", daemon=True)
            self._thread.start()

    @property
    def n_bytes(self) -> int:
        """Number of bytes so far, including the first ones that are not kept. Lower after a line was written anew."""
        return self._n_dropped + len(self._kept)

    def begin_line(self) -> int:
        """End the last line, so that it is not written anew, and return where the next one begins, as `n_bytes`."""
        with self._lock:
            if self._line_start < self.n_bytes:
                self._end_line()
                self._also(b"\n")
            return self.n_bytes

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
        """Wait until every writer has closed the pipe, or until the time is over; then read what is in it, and stop.

        A process that has left the group may hold the pipe open for ever.
        """
        if self._thread is not None:
            self._thread.join(timeout_seconds)
            self._finished = True
            self._thread.join(LAST_SECONDS)
        self._finished = True

    def tell(self, text: str) -> None:
        """Add a line of ours, in square brackets."""
        self.begin_line()
        self.keep(f"[{text}]\n".encode(errors="replace"))

    def _run(self, pipe: IO[bytes]) -> None:
        with pipe:
            readable = select.poll()
            readable.register(pipe, select.POLLIN)
            n_last = 0
            while n_last < MAX_LAST_PIECES:
                finished = self._finished
                if readable.poll(0 if finished else POLL_SECONDS * 1000):
                    piece = pipe.read(PIECE_BYTES)
                    if not piece:
                        return
                    self.keep(piece)
                    n_last += finished
                elif finished:
                    return

    def keep(self, piece: bytes) -> None:
        """Keep a piece, and less of what came before it."""
        with self._lock:
            self.n_written += len(piece)
            self._also(piece)
            if self._ends_with_return:
                piece = b"\r" + piece
            if b"\r" in piece:
                self._keep_lines(piece)
            else:
                self._kept += piece
                end = piece.rfind(b"\n")
                if end >= 0:
                    self._line_start = self.n_bytes - (len(piece) - end - 1)
            excess = len(self._kept) - self._max_bytes
            if excess > 0:
                del self._kept[:excess]
                self._n_dropped += excess

    def _keep_lines(self, piece: bytes) -> None:
        self._ends_with_return = piece.endswith(b"\r")
        *lines, last = piece.rstrip(b"\r").split(b"\n") if self._ends_with_return else piece.split(b"\n")
        for line in lines:
            self._add(line.rstrip(b"\r"))
            self._end_line()
        self._add(last)

    def _end_line(self) -> None:
        self._kept += b"\n"
        self._line_start = self.n_bytes

    def _add(self, text: bytes) -> None:
        """Add text to the last line; what follows a carriage return replaces the line."""
        _, is_new, after = text.rpartition(b"\r")
        if is_new:
            del self._kept[max(0, self._line_start - self._n_dropped) :]
        self._kept += after
