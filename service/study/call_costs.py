"""Whether a call is short enough for one turn of the event loop, by what such calls of its study have taken."""

MAX_LEASES = 64
"""A call that concerns more leases is not made in one turn."""
TURN_SECONDS = 0.02
WEIGHT = 0.3
"""Weight of the newest measurement in a moving average."""


class CallCosts:
    """The processor time that each kind of call of one study takes for a lease: a moving average, any thread's."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def fits_turn(self, kind: str, n_leases: int) -> bool:
        """Whether a call is short enough. One of a kind that was not measured yet is not."""
        known = self._seconds.get(kind)
        return known is not None and n_leases <= MAX_LEASES and n_leases * known <= TURN_SECONDS

    def note(self, kind: str, n_leases: int, seconds: float) -> None:
        """Take note of a call that concerned this many leases."""
        newest = seconds / max(1, n_leases)
        before = self._seconds.get(kind, newest)
        self._seconds[kind] = (1 - WEIGHT) * before + WEIGHT * newest
