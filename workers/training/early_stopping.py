import math


class BestEpoch:
    """Follows one metric: a loss is better when lower, an accuracy when higher, by more than `min_delta`."""

    def __init__(self, metric: str, min_delta: float = 0.0) -> None:
        self.metric = metric
        self.min_delta = min_delta
        self.epoch = -1
        self.value = math.nan

    def update(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Whether this epoch is the best so far; of equals the first counts."""
        value = metrics[self.metric]
        sign = -1.0 if self.metric.endswith("_loss") else 1.0
        if self.epoch >= 0 and not sign * value > sign * self.value + self.min_delta:
            return False
        self.epoch, self.value = epoch, value
        return True
