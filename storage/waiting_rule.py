"""Where a thread must not wait for the database: on an event loop, and while it holds the lock of a study.

Such a wait stops every other call, or every call of the study, for as long as the database takes. Reads and waits for
commits check the rule, so that a new one cannot break it unnoticed.
"""

import asyncio
import logging
import threading

log = logging.getLogger(__name__)


class WaitRule:
    """Counts, for each thread, the blocks in which it must not wait for the database."""

    def __init__(self) -> None:
        self.is_strict = False
        """Whether a wait against the rule raises RuntimeError, as in tests, instead of being logged."""
        self._local = threading.local()

    def begin_no_wait(self) -> None:
        """Forbid waits on this thread until `end_no_wait` was called as often."""
        self._local.depth = getattr(self._local, "depth", 0) + 1

    def end_no_wait(self) -> None:
        """End one `begin_no_wait`."""
        self._local.depth -= 1

    def check(self, what: str) -> None:
        """Check that this thread may wait. Raises RuntimeError if it must not and the rule is strict."""
        place = self._forbidden_place()
        if place is None:
            return
        if self.is_strict:
            raise RuntimeError(f"{what} {place}")
        log.error("%s %s", what, place, stack_info=True)

    def _forbidden_place(self) -> str | None:
        if getattr(self._local, "depth", 0) > 0:
            return "under the lock of a study"
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return None
        return "on the event loop"


wait_rule = WaitRule()
