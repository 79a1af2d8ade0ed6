import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData, channel_statistics

REPOSITORY = Path(__file__).parents[3]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def find_data() -> Callable[[str], Path]:
    """Return a function from a folder of real data, such as MNIST/raw, to its data directory. It skips without data."""

    def find(folder: str) -> Path:
        root = Path(os.environ.get("NARROWS_DATA_DIR", REPOSITORY.parent / "shared" / "data"))
        if not (root / folder).is_dir():
            pytest.skip(f"real data is missing: no {folder} in {root} (set NARROWS_DATA_DIR)")
        return root

    return find


@pytest.fixture
def make_training() -> Callable[..., Training]:
    """Build a Training from the fields that matter to a test."""

    def make(**fields: Any) -> Training:
        defaults = {
            "dataset": "digits",
            "model": {"name": "mlp", "hidden": [16]},
            "epochs": 2,
            "batch_size": 16,
            "learning_rate": 0.01,
        }
        return Training.model_validate(defaults | fields)

    return make


@pytest.fixture
def trial_data() -> TrialData:
    """80 train and 20 validation images of 1x12x12 in 4 classes. In each class another row is bright."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(100) % 4
    images = torch.randint(0, 120, (100, 1, 12, 12), generator=generator, dtype=torch.uint8)
    images[torch.arange(100), 0, labels * 3] += 60
    train, validation = torch.arange(80), torch.arange(80, 100)
    mean, std = channel_statistics(images, train)
    return TrialData(images, labels, train, validation, mean, std, 4)
