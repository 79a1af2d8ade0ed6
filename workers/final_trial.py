"""What is special about the one trial of a final evaluation that reads the test split."""

from pathlib import Path

import torch
from torch import nn

from service.schemas.protocol import Lease
from workers.data import TrialData
from workers.test_split import evaluate_test


class FinalTest:
    """Evaluates the trained model of a lease that says `test`; no other lease opens the test split."""

    def __init__(self, device: torch.device, data_dir: Path, *, download: bool) -> None:
        self._device = device
        self._data_dir = data_dir
        self._download = download

    def __call__(self, lease: Lease, model: nn.Module, data: TrialData) -> dict[str, float]:
        """TEST_METRICS. Raises ValueError for any other lease, DatasetError and PrecisionError."""
        if not lease.test:
            raise ValueError(f"only the last trial of a final evaluation reads the test split: lease {lease.lease_id}")
        return evaluate_test(model, lease.built_in, data, self._device, self._data_dir, download=self._download)
