"""The error that keeps a study from giving out trials."""

from service.clock import Clock

PAUSE_SECONDS = 30.0
"""After an error the study is not asked for a trial for this long, so that claims are answered from other studies."""


class GrantFault:
    """The last error of a study while it made a trial for a claim, until it has made one again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")
        self.text: str | None = None

    def note(self, error: Exception) -> None:
        """Remember an error that has just happened."""
        self.text = f"{type(error).__name__}: {error}"[:500]
        self._until = self._clock.monotonic() + PAUSE_SECONDS

    def clear(self) -> None:
        """Forget the error, because a claim was answered."""
        self.text = None

    @property
    def is_recent(self) -> bool:
        """Whether the study should not be asked for a trial yet."""
        return self.text is not None and self._clock.monotonic() < self._until
