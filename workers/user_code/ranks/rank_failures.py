"""Which of several ranks made a trial fail."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

from workers.user_code.outcome import Failed
from workers.user_process.failures import MAX_REASON

SETTLE_SECONDS = 3.0
"""How long to wait for the failure of the rank that others have lost."""
LOST_PEER = re.compile(
    r"closed by peer|reset by peer|broken pipe|connection refused|peer closed|recvvalue failed"
    r"|gloo|nccl|processgroup|tcpstore|DistBackendError|DistNetworkError|DistStoreError",
    re.IGNORECASE,
)
"""What a rank says that fails because another one has ended."""


class RankFailures:
    """Collects failures of ranks, and chooses the one that was first.

    The end of one rank makes others fail within milliseconds, so a failure that looks like a lost connection waits for
    another one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[int, tuple[Failed, bool]] = {}
        self._since: float | None = None

    def add(self, rank: int, failure: Failed, last_lines: str = "") -> None:
        """Add the failure of a rank. `last_lines` are looked at, too, for a lost connection."""
        if rank not in self._found:
            is_consequence = LOST_PEER.search(f"{failure.reason}\n{last_lines}") is not None
            self._found[rank] = (failure, is_consequence)
            self._since = self._clock() if self._since is None else self._since

    @property
    def ranks(self) -> set[int]:
        """The ranks that have failed."""
        return set(self._found)

    def chosen(self, n_running: int) -> tuple[int, Failed] | None:
        """The rank that failed first, and why. None if there is none yet; `n_running` ranks may still fail."""
        if self._since is None:
            return None
        causes = [rank for rank, (_, is_consequence) in self._found.items() if not is_consequence]
        if not causes and n_running and self._clock() - self._since < SETTLE_SECONDS:
            return None
        rank = (causes or list(self._found))[0]
        failure, _ = self._found[rank]
        return rank, replace(failure, reason=f"rank {rank}: {failure.reason}"[:MAX_REASON])
