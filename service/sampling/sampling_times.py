"""How long a sampler takes and how often its suggestions are taken, and so how many to have ready."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHEAP_SECONDS = 0.005
"""A sampler faster than this is asked when a worker claims, so that its suggestion knows all results so far."""
QUICK_SECONDS = 0.001
"""A sampler that needs less processor time than this may be asked on the event loop."""
PATIENCE_SECONDS = 1.0
"""How long a claim waits for a sampler in another process. A slower one is not waited for."""
WEIGHT = 0.3
"""Weight of the newest measurement in a moving average."""


class SamplingTimes:
    """The moving averages of one study. `is_apart` is whether its sampler runs in a process of its own."""

    def __init__(
        self,
        *,
        is_apart: bool,
        monotonic: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self._is_apart = is_apart
        self._monotonic, self._processor = monotonic, processor
        self._sample_seconds = 0.0
        self._busy_seconds = 0.0
        self._claim_seconds = math.inf
        self._last_taken = -math.inf
        self._began: float | None = None

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what is sampled in the block."""
        started, busy = self._monotonic(), self._processor()
        self._began = started
        try:
            yield
        finally:
            self._began = None
        self._sample_seconds = _average(self._sample_seconds, self._monotonic() - started)
        self._busy_seconds = _average(self._busy_seconds, self._processor() - busy)

    def note_taken(self) -> None:
        """Note that a suggestion is taken now."""
        now = self._monotonic()
        self._claim_seconds = _average(self._claim_seconds, now - self._last_taken)
        self._last_taken = now

    @property
    def is_quick(self) -> bool:
        """Whether the sampler needs so little processor time that it may be asked on the event loop."""
        return not self._is_apart and 0 < self._busy_seconds < QUICK_SECONDS

    def depth(self, n_running: int) -> int:
        """Number of suggestions to keep ready: those claimed while one is sampled, at most one per running trial."""
        if self._sample_seconds < CHEAP_SECONDS and not self._is_apart:
            return 0
        claimed = self._sample_seconds / max(self._claim_seconds, 1e-3)
        return min(1 + math.ceil(claimed), max(1, n_running))

    def patience_seconds(self) -> float:
        """How long a claim may wait for a sampler in another process, which is slow or may hang."""
        began = self._began
        if self._sample_seconds > PATIENCE_SECONDS:
            return 0.0
        return PATIENCE_SECONDS if began is None else max(0.0, began + PATIENCE_SECONDS - self._monotonic())


def _average(before: float, newest: float) -> float:
    return newest if not math.isfinite(before) else (1 - WEIGHT) * before + WEIGHT * newest
