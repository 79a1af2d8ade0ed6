from collections.abc import Callable

import pytest
import torch

from service.schemas.study.training import Training
from workers.errors import PrecisionError
from workers.training.precision import autocast

Make = Callable[..., Training]


def test_bf16_on_a_device_without_it_is_a_clear_error(make_training: Make) -> None:
    with pytest.raises(PrecisionError, match="mps has no bf16"):
        autocast(make_training(precision="bf16"), torch.device("mps"))
