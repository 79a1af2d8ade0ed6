"""The output of all ranks of a trial: one text, in which each line says whose it is."""

import threading

from workers.user_code.output_tail import OutputTail

MAX_LINE_BYTES = 65_536
"""A longer line is cut."""
MAX_TAIL_BYTES = 65_536
"""Bytes of each rank that are kept apart, for the reason of a failure."""


class RankOutput:
    """Passes the lines of one rank on to the output of all, each with the rank before it.

    A line is passed on when it ends, so that lines of several ranks do not mix. Of one that is written anew after
    carriage returns, as by a progress bar, the last state is.
    """

    def __init__(self, rank: int, output: OutputTail) -> None:
        self._mark = f"[rank {rank}] ".encode()
        self._output = output
        self._rest = b""
        self._lock = threading.Lock()

    def add(self, piece: bytes) -> None:
        """Add a piece of what the rank writes."""
        with self._lock:
            *lines, rest = (self._rest + piece).split(b"\n")
            _, _, last = rest.rstrip(b"\r").rpartition(b"\r")
            rest = last + b"\r" if rest.endswith(b"\r") else last
            while len(rest) > MAX_LINE_BYTES:
                lines.append(rest[:MAX_LINE_BYTES])
                rest = rest[MAX_LINE_BYTES:]
            self._rest = rest
            self._pass_on(lines)

    def finish(self) -> None:
        """Pass on a last line that has no end."""
        with self._lock:
            if self._rest:
                self._pass_on([self._rest])
                self._rest = b""

    def _pass_on(self, lines: list[bytes]) -> None:
        shown = (line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines)
        marked = b"".join(self._mark + line + b"\n" for line in shown)
        if marked:
            self._output.keep(marked)
