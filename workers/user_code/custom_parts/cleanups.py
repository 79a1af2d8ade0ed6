"""Remove files when nothing refers to them any more."""

from collections.abc import Callable

from workers.leases.errands import Errands


class Cleanups:
    """Removes files of trials that have left, after the events and errands that refer to them.

    Events that `step` returns may refer to files, and handling such an event may queue an errand that reads them. So a
    clean-up waits until the events are returned (`release`), and is queued as an errand at the next call (`run`).
    """

    def __init__(self, errands: Errands) -> None:
        self._errands = errands
        self._waiting: list[Callable[[], object]] = []
        self._released: list[Callable[[], object]] = []

    def add(self, remove: Callable[[], object]) -> None:
        """Call `remove` once the pending events are handled."""
        self._waiting.append(remove)

    def release(self) -> None:
        """The pending events are returned now: what was added so far is due at the next `run`."""
        self._released += self._waiting
        self._waiting.clear()

    def run(self) -> None:
        """Queue the clean-ups that are due, behind the errands of the events."""
        for remove in self._released:
            self._errands.submit(remove)
        self._released.clear()
