"""The best epoch of a trial, for early stopping."""

import math


class BestEpoch:
    """The best epoch so far by one metric: a lower loss or a higher accuracy, by more than `min_delta`.

    `epoch` is -1 and `value` is NaN before the first update.
    """

    def __init__(self, metric: str, min_delta: float = 0.0) -> None:
        self.metric = metric
        self.min_delta = min_delta
        self.epoch = -1
        self.value = math.nan

    def update(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Take the metrics of an epoch and return whether it is the best so far. Of equal epochs the first is best."""
        value = metrics[self.metric]
        sign = -1.0 if self.metric.endswith("_loss") else 1.0
        if self.epoch >= 0 and not sign * value > sign * self.value + self.min_delta:
            return False
        self.epoch, self.value = epoch, value
        return True
