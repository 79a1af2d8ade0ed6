"""The test split. No other module reads it, and only workers.final_test.final_trial imports this one."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from service.schemas.study.data import CustomDataset, Dataset
from service.schemas.study.training import TEST_METRICS, Training
from workers.data.images import LabelledImages
from workers.data.trial_data import TrialData
from workers.errors import DatasetError
from workers.models.evaluation import evaluate_model
from workers.training.precision import autocast


def load_test(dataset: Dataset | CustomDataset, data_dir: Path, download: bool) -> LabelledImages:
    """Return the test part of a built-in data set. Raises DatasetError, which names the path."""
    if isinstance(dataset, CustomDataset):
        raise DatasetError(f"a custom data set must be read in a process that runs its code: {dataset.entrypoint}")
    # Imported here because torchvision takes two seconds, and a custom data set does not need it.
    from workers.data.by_name import read_part

    chosen = (dataset.name, dataset.path, dataset.image_size, dataset.on_bad_image)
    return read_part(*chosen, data_dir, download, train=False)


def evaluate_test(
    model: nn.Module, training: Training, data: TrialData, test: LabelledImages, device: torch.device
) -> dict[str, float]:
    """Return TEST_METRICS of a model that was trained on `data`. Test images are normalized by the mean and std of it.

    Raises DatasetError if the test split does not fit the training data, and PrecisionError.
    """
    if len(test.labels) == 0 or int(test.labels.max()) >= data.n_classes:
        raise DatasetError(f"the test split must have images, all of the {data.n_classes} classes of the train split")
    if test.images.shape[1:] != data.images.shape[1:]:
        shapes = tuple(test.images.shape[1:]), tuple(data.images.shape[1:])
        raise DatasetError("test images must have the shape of the training images: {}, not {}".format(*shapes))
    tested = replace(data, images=test.images.to(device), labels=test.labels.to(device))
    rows = torch.arange(len(test.labels), device=device)
    loss, accuracy = evaluate_model(model, tested, rows, autocast(training, device))
    return dict(zip(TEST_METRICS, (loss, accuracy, len(test.labels)), strict=True))
