"""The processes of all ranks of one trial, as one."""

import time
from collections.abc import Sequence
from typing import IO

from workers.user_code.output_tail import OutputTail
from workers.user_code.process import GRACE_SECONDS, POLL_SECONDS, OwnSession
from workers.user_code.ranks.port import ReservedPort
from workers.user_code.ranks.rank_output import MAX_TAIL_BYTES, RankOutput

LAST_RANKS_SECONDS = 60.0
"""How long other ranks may go on after rank 0 has ended well."""


class RankOutputs:
    """The outputs of all ranks, and what they write together as `output`."""

    def __init__(self, n_ranks: int) -> None:
        self.output = OutputTail(None)
        self._marked = [RankOutput(rank, self.output) for rank in range(n_ranks)]

    def tail(self, rank: int, pipe: IO[bytes] | None) -> OutputTail:
        """The output of one rank, which is read from the pipe, or given to it."""
        return OutputTail(pipe, MAX_TAIL_BYTES, self._marked[rank].add)

    def finish(self) -> None:
        """Add last lines that have no end."""
        for marked in self._marked:
            marked.finish()


class RankProcesses:
    """Processes that end together, each in a session of its own. They join `ranks` as they are started, in order."""

    def __init__(self, n_ranks: int) -> None:
        """Reserve the port that they meet at. Raises OSError if there is none."""
        self._port = ReservedPort()
        self.port = self._port.number
        self.outputs = RankOutputs(n_ranks)
        self.output = self.outputs.output
        self.ranks: list[OwnSession] = []
        self.failed_rank: int | None = None
        """The rank that made the trial fail."""
        self._status: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether all have ended."""
        return all(process.has_ended for process in self.ranks)

    def ended_within(self, seconds: float) -> bool:
        """Wait for the end of all. False if one has not ended in time."""
        return ended_within(self.ranks, seconds)

    def last_lines(self) -> str:
        """The last lines of the rank that has failed, or of all, for the reason of a failure."""
        if self.failed_rank is None:
            return self.output.last_lines()
        return self.ranks[self.failed_rank].last_lines()

    def tell_late(self, ranks: Sequence[int]) -> None:
        """Write a line about each of the ranks, which have not ended LAST_RANKS_SECONDS after rank 0."""
        for rank in ranks:
            self.output.tell(
                f"rank {rank} went on for {LAST_RANKS_SECONDS:g} s after rank 0 had ended; it is ended now"
            )

    def end(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Send SIGTERM to all, kill what is left of their groups after `grace_seconds`. Returns rank 0's status."""
        if self._status is None:
            for process in self.ranks:
                process.ask_to_end()
            ended_within(self.ranks, grace_seconds)
            statuses = [process.end(0.0) for process in self.ranks]
            self._status = statuses[0] if statuses else 0
            self.outputs.finish()
            self._port.close()
        return self._status


def ended_within(processes: Sequence[OwnSession], seconds: float) -> bool:
    """Wait for the end of all processes. False if one has not ended in time."""
    deadline = time.monotonic() + seconds
    while not all(process.has_ended for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
