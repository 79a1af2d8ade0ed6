"""The test split: the one module that reads it. workers.final_test.final_trial alone imports it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from service.schemas.study.data import Dataset, OwnDataset
from service.schemas.study.training import TEST_METRICS, Training
from workers.data.images import LabelledImages
from workers.data.trial_data import TrialData
from workers.errors import DatasetError
from workers.models.evaluation import evaluate_model
from workers.training.precision import autocast


def load_test(dataset: Dataset | OwnDataset, data_dir: Path, download: bool) -> LabelledImages:
    """The test part. Raises DatasetError, which names the path looked at."""
    if isinstance(dataset, OwnDataset):
        raise DatasetError(f"an own data set is read in a process of its own: {dataset.entrypoint}")
    from workers.data.by_name import (
        read_part,  # with torchvision, which takes two seconds that an own data set does without
    )

    return read_part(dataset.name, dataset.path, dataset.image_size, data_dir, download, train=False)


def evaluate_test(
    model: nn.Module, training: Training, data: TrialData, test: LabelledImages, device: torch.device
) -> dict[str, float]:
    """TEST_METRICS of a model that was trained on `data`, whose mean and std its inputs have.

    Raises DatasetError and PrecisionError.
    """
    if len(test.labels) == 0 or int(test.labels.max()) >= data.n_classes:
        raise DatasetError(f"the test split must have images of the {data.n_classes} classes of the train split alone")
    if test.images.shape[1:] != data.images.shape[1:]:
        shapes = tuple(test.images.shape[1:]), tuple(data.images.shape[1:])
        raise DatasetError("test images must be as large as those to train on: {}, not {}".format(*shapes))
    tested = replace(data, images=test.images.to(device), labels=test.labels.to(device))
    rows = torch.arange(len(test.labels), device=device)
    loss, accuracy = evaluate_model(model, tested, rows, autocast(training, device))
    return dict(zip(TEST_METRICS, (loss, accuracy, len(test.labels)), strict=True))
