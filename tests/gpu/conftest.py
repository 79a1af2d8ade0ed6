import os
from collections.abc import Iterator

import pytest
import torch

from workers.data.trial_data import TrialData, channel_statistics


@pytest.fixture(scope="session")
def device() -> Iterator[torch.device]:
    """The accelerator; NARROWS_TEST_DEVICE names another device to try these tests on."""
    name = os.environ.get("NARROWS_TEST_DEVICE", "cuda:0")
    if name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("NO GPU: torch sees none")
    yield torch.device(name)
    if name.startswith("cuda"):
        torch.cuda.empty_cache()


@pytest.fixture(scope="session")
def data(device: torch.device) -> TrialData:
    """400 train and 100 validation images of 3x16x16 in 4 classes, each class with a bright row of its own."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(500) % 4
    images = torch.randint(0, 120, (500, 3, 16, 16), generator=generator, dtype=torch.uint8)
    images[torch.arange(500), :, labels * 4] += 60
    train, validation = torch.arange(400), torch.arange(400, 500)
    mean, std = channel_statistics(images, train)
    return TrialData(
        images.to(device),
        labels.to(device),
        train.to(device),
        validation.to(device),
        mean.to(device),
        std.to(device),
        4,
    )
