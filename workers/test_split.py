"""The test split: the one module that reads it. workers.final_trial alone imports it."""

from pathlib import Path

import torch
from torch import nn

from service.schemas.data import Dataset
from service.schemas.training import TEST_METRICS, Training
from workers.data import TrialData
from workers.errors import DatasetError
from workers.evaluation import evaluate
from workers.images import LabelledImages
from workers.parts import read_part
from workers.precision import autocast


def load_test(dataset: Dataset, data_dir: Path, download: bool) -> LabelledImages:
    """The test part. Raises DatasetError, which names the path looked at."""
    return read_part(dataset.name, dataset.path, dataset.image_size, data_dir, download, train=False)


def evaluate_test(
    model: nn.Module, training: Training, data: TrialData, device: torch.device, data_dir: Path, *, download: bool
) -> dict[str, float]:
    """TEST_METRICS of a model that was trained on `data`, whose mean and std its inputs have.

    Raises DatasetError and PrecisionError.
    """
    test = load_test(training.dataset, data_dir, download)
    if len(test.labels) == 0 or int(test.labels.max()) >= data.n_classes:
        raise DatasetError(f"the test split must have images of the {data.n_classes} classes of the train split alone")
    if test.images.shape[1:] != data.images.shape[1:]:
        shapes = tuple(test.images.shape[1:]), tuple(data.images.shape[1:])
        raise DatasetError("test images must be as large as those to train on: {}, not {}".format(*shapes))
    loss, accuracy = evaluate(
        model,
        test.images.to(device),
        test.labels.to(device),
        torch.arange(len(test.labels), device=device),
        data.mean,
        data.std,
        autocast(training, device),
    )
    return dict(zip(TEST_METRICS, (loss, accuracy, len(test.labels)), strict=True))
