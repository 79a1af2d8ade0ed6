import sys

import torch

from workers.training.denormals import flushed_denormals

HALF = torch.tensor(0.5, dtype=torch.float64)


def smallest_halved() -> float:
    return float(torch.tensor(sys.float_info.min, dtype=torch.float64) * HALF)


def test_denormals_are_zero_only_inside_the_block() -> None:
    assert smallest_halved() > 0

    with flushed_denormals():
        assert smallest_halved() == 0
        with flushed_denormals():
            assert smallest_halved() == 0
        assert smallest_halved() == 0

    assert smallest_halved() > 0
