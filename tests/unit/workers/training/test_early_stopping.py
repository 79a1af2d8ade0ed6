import pytest

from workers.training.early_stopping import BestEpoch


@pytest.mark.parametrize(
    ("metric", "min_delta", "values", "better"),
    [
        ("validation_loss", 0.0, [1.0, 0.9, 0.9, 0.95, 0.8], [True, True, False, False, True]),
        ("validation_accuracy", 0.1, [0.5, 0.55, 0.65, 0.7], [True, False, True, False]),
    ],
)
def test_an_epoch_is_better_by_more_than_min_delta(
    metric: str, min_delta: float, values: list[float], better: list[bool]
) -> None:
    best = BestEpoch(metric, min_delta)
    assert [best.update(epoch, {metric: value}) for epoch, value in enumerate(values)] == better
