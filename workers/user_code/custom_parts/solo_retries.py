"""What follows when a process with several trials has ended: any of them may be the cause."""

from collections.abc import Iterable


class SoloRetries:
    """Says which trials are retried in a process of their own, and how many lanes trials of a kind may then share.

    A trial that ends its process again, alone, is the cause and fails; the others go on. Fewer lanes need less memory,
    which may have been the cause.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._lane_limits: dict[str, int] = {}

    def record(self, key: str, lease_ids: Iterable[str], reason: str, n_lanes: int) -> None:
        """Retry these trials alone, and share at most half of `n_lanes` lanes among trials of the key from now on."""
        self._lane_limits[key] = max(1, n_lanes // 2)
        self._reasons.update(dict.fromkeys(lease_ids, reason))

    def reason(self, lease_id: str) -> str | None:
        """Why the process ended that the trial was in with others; None if the trial need not be alone."""
        return self._reasons.get(lease_id)

    def lane_limit(self, key: str) -> int | None:
        """Largest number of lanes for trials of the key; None if there is no limit."""
        return self._lane_limits.get(key)

    def forget(self, lease_id: str) -> None:
        """The trial has ended or was taken away."""
        self._reasons.pop(lease_id, None)
