import math


class BestEpoch:
    """Follows one metric: a loss is better when lower, an accuracy when higher, by more than `min_delta`."""

    def __init__(self, metric: str, min_delta: float = 0.0) -> None:
        self.metric = metric
        self.min_delta = min_delta
        self.epoch = -1
        self._best = -math.inf
        self._sign = -1.0 if metric.endswith("_loss") else 1.0

    def update(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Whether this epoch is the best so far; of equals the first counts."""
        value = self._sign * metrics[self.metric]
        if not value > self._best + self.min_delta:
            return False
        self.epoch, self._best = epoch, value
        return True
