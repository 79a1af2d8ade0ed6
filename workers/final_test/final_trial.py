"""The trial of a final evaluation that reads the test split."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from service.schemas.protocol import Lease
from service.schemas.study.data import CustomDataset, Dataset
from workers.data.images import LabelledImages
from workers.data.trial_data import TrialData
from workers.final_test.test_split import evaluate_test, load_test


class FinalTrial:
    """Evaluates the trained model of a lease with `test` on the test split. No other lease opens it."""

    def __init__(
        self,
        device: torch.device,
        data_dir: Path,
        *,
        download: bool,
        load_custom: Callable[[CustomDataset], LabelledImages] | None = None,
    ) -> None:
        """`load_custom` reads the test part of a custom data set; None in processes that must not run its code."""
        self._load_custom = load_custom
        self._device = device
        self._data_dir = data_dir
        self._download = download

    def __call__(self, lease: Lease, model: nn.Module, data: TrialData) -> dict[str, float]:
        """Return TEST_METRICS of the model of a lease, which was trained on `data`.

        Raises ValueError for a lease without `test`, DatasetError and PrecisionError.
        """
        if not lease.test:
            raise ValueError(f"only the last trial of a final evaluation reads the test split: lease {lease.lease_id}")
        training = lease.built_in
        return evaluate_test(model, training, data, self._load(training.dataset), self._device)

    def _load(self, dataset: Dataset | CustomDataset) -> LabelledImages:
        if isinstance(dataset, CustomDataset) and self._load_custom is not None:
            return self._load_custom(dataset)
        return load_test(dataset, self._data_dir, self._download)
