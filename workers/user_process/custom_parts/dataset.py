"""Load custom data sets as tensors and check them."""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from service.schemas.study.data import CustomDataset
from workers.data.images import LabelledImages
from workers.data.trial_data import TrialData, check_train_classes, describe
from workers.errors import DatasetError
from workers.user_process.custom_parts.entrypoint import call_function

SPLITS = ("train", "validation", "test")
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8)
BYTE_SCALE = 255.0
N_READ_AGAIN = 64
"""About so many examples of a split are read a second time."""


@dataclass(frozen=True)
class DatasetSplit:
    """One split of a custom data set."""

    inputs: Tensor  # float32, uint8 or int64, [n, …]
    labels: Tensor  # int64 [n]


@dataclass(frozen=True)
class CustomSplits:
    """The splits of a custom data set."""

    train: DatasetSplit
    validation: DatasetSplit
    test: DatasetSplit | None

    @property
    def n_classes(self) -> int:
        """Number of classes: one more than the largest label for training or validation."""
        return 1 + int(max(self.train.labels.max(), self.validation.labels.max()))


def load_splits(dataset: CustomDataset, seed: int) -> CustomSplits:
    """Call the user's function and check the splits that it returns. It is called once in a process.

    The global generators of torch, numpy and Python are seeded with `seed`, which all trials of a study share.

    The function returns (train, validation) or (train, validation, test). A split is a pair of tensors, inputs [n, …]
    and labels [n], or a map-style torch data set of pairs (input, label) whose inputs have one shape. Inputs are
    floating (the model gets float32), uint8 (the model gets float32 from 0 to 1) or other integers (the model gets
    int64, for instance tokens); labels are classes counted from 0. Raises DatasetError, RetryElsewhereError,
    EntrypointError, and whatever the code raises.
    """
    return _load(dataset.model_dump_json(exclude={"augment"}), seed)


@lru_cache(maxsize=1)
def _load(dataset_json: str, seed: int) -> CustomSplits:
    dataset = CustomDataset.model_validate_json(dataset_json)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        returned = call_function(dataset.entrypoint, dataset.arguments)
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 3):
        shown = f"{len(returned)} values" if isinstance(returned, tuple | list) else type(returned).__name__
        raise DatasetError(
            f"{dataset.entrypoint} must return (train, validation) or (train, validation, test): {shown}"
        )
    splits = [_split(value, name) for value, name in zip(returned, SPLITS, strict=False)]
    train = splits[0]
    for split, name in zip(splits[1:], SPLITS[1:], strict=False):
        if split.inputs.shape[1:] != train.inputs.shape[1:] or split.inputs.dtype != train.inputs.dtype:
            raise DatasetError(f"inputs of {name} must be like those of train: {_shown(split)}, not {_shown(train)}")
    loaded = CustomSplits(train, splits[1], splits[2] if len(splits) == 3 else None)
    check_train_classes(dataset.entrypoint, train.labels)
    if loaded.test is not None and (largest := int(loaded.test.labels.max())) >= loaded.n_classes:
        raise DatasetError(
            f"labels of test must be classes of train or validation, 0 to {loaded.n_classes - 1}: {largest}"
        )
    return loaded


def _shown(split: DatasetSplit) -> str:
    return f"{str(split.inputs.dtype).removeprefix('torch.')} {list(split.inputs.shape[1:])}"


def _split(value: Any, name: str) -> DatasetSplit:
    if isinstance(value, TensorDataset):
        value = value.tensors
    if isinstance(value, Dataset):
        value = _stacked(value, name)
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if not is_pair or not all(isinstance(tensor, Tensor) for tensor in value):
        raise DatasetError(
            f"{name} must be a pair of tensors, inputs and labels, or a torch data set of pairs: {_kind(value)}"
        )
    if not all(tensor.layout == torch.strided and not tensor.is_meta for tensor in value):
        raise DatasetError(f"{name} must be dense tensors with values: {', '.join(map(_storage, value))}")
    inputs, labels = value
    return DatasetSplit(_inputs(inputs.detach().cpu(), name), _labels(labels.detach().cpu(), len(inputs), name))


def _storage(tensor: Tensor) -> str:
    return f"{str(tensor.layout).removeprefix('torch.')} on {tensor.device}"


def _kind(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {', '.join(type(element).__name__ for element in value[:3])}"
    return type(value).__name__


def _stacked(examples: Dataset[Any], name: str) -> tuple[Tensor, Tensor]:
    """Read every example once and stack the inputs, [n, …], and the labels, [n]."""
    if isinstance(examples, IterableDataset) or not hasattr(examples, "__len__"):
        raise DatasetError(
            f"{name} must be a map-style data set, with a length and examples by index: {type(examples).__name__}"
        )
    n = len(examples)
    inputs, labels = torch.empty(0), torch.empty(n, dtype=torch.int64)
    for index in range(n):
        example = examples[index]
        tensor, label = example if isinstance(example, tuple | list) and len(example) == 2 else (None, None)
        if not isinstance(tensor, Tensor):
            raise DatasetError(f"example {index} of {name} must be a pair of a tensor and a class: {_kind(example)}")
        if index == 0:
            inputs = torch.empty((n, *tensor.shape), dtype=tensor.dtype)
        if tensor.shape != inputs.shape[1:] or tensor.dtype != inputs.dtype:
            shapes = f"{list(tensor.shape)} of {tensor.dtype} after {list(inputs.shape[1:])} of {inputs.dtype}"
            raise DatasetError(f"inputs of {name} must have one shape and dtype: {shapes}")
        inputs[index] = tensor
        labels[index] = _class_of(label, index, name)
    _check_again(examples, inputs, labels, name)
    return inputs, labels


def _check_again(examples: Dataset[Any], inputs: Tensor, labels: Tensor, name: str) -> None:
    """Read some examples a second time. Raises DatasetError if they differ: random transforms would stand still."""
    for index in range(0, len(labels), max(1, len(labels) // N_READ_AGAIN)):
        tensor, label = examples[index]
        same = torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(inputs[index]))
        if not same or _class_of(label, index, name) != labels[index]:
            raise DatasetError(
                f"examples of {name} must be the same each time they are read: example {index} differs. They are read "
                "once, so random transforms would be frozen: use dataset.augment, or an entrypoint that trains itself"
            )


def _class_of(label: Any, index: int, name: str) -> int:
    number = label.item() if hasattr(label, "item") and getattr(label, "size", 1) != 0 else label
    if isinstance(number, bool) or not isinstance(number, int):
        raise DatasetError(f"the label of example {index} of {name} must be the number of a class: {label!r}")
    return number


def _inputs(inputs: Tensor, name: str) -> Tensor:
    if inputs.ndim < 2 or len(inputs) == 0:
        raise DatasetError(f"inputs of {name} must be [n, …] with n of at least 1: {list(inputs.shape)}")
    if inputs.dtype == torch.uint8:
        return inputs
    if inputs.dtype in INTEGERS:
        return inputs.long()
    if not inputs.is_floating_point():
        raise DatasetError(f"inputs of {name} must be floating, uint8 or other integers: {inputs.dtype}")
    floats = inputs.float()
    if not floats.isfinite().all():
        raise DatasetError(f"inputs of {name} must be finite: they contain nan or infinity")
    return floats


def _labels(labels: Tensor, n: int, name: str) -> Tensor:
    if labels.shape != (n,):
        raise DatasetError(f"labels of {name} must be [n], one class for each input: {list(labels.shape)}, n={n}")
    if labels.dtype not in (*INTEGERS, torch.uint8):
        raise DatasetError(f"labels of {name} must be integers, one class number each: {labels.dtype}")
    if int(labels.min()) < 0:
        raise DatasetError(f"labels of {name} must be at least 0: {int(labels.min())}")
    return labels.long()


def custom_trial_data(splits: CustomSplits, device: torch.device) -> TrialData:
    """The train and validation splits as one TrialData on a device."""
    n_train, n_validation = len(splits.train.labels), len(splits.validation.labels)
    inputs = torch.cat([splits.train.inputs, splits.validation.inputs])
    labels = torch.cat([splits.train.labels, splits.validation.labels])
    train, validation = torch.arange(n_train), torch.arange(n_train, n_train + n_validation)
    scale = BYTE_SCALE if inputs.dtype == torch.uint8 else 1.0
    return TrialData(
        images=inputs.to(device),
        labels=labels.to(device),
        train=train.to(device),
        validation=validation.to(device),
        mean=torch.zeros(1, device=device),
        std=torch.full((1,), scale, device=device),
        n_classes=splits.n_classes,
        has_statistics=False,
        description=describe(f"inputs of {_shown(splits.train)}", labels, splits.n_classes, train, validation),
    )


def load_custom_test(dataset: CustomDataset, seed: int) -> LabelledImages:
    """Load the test split. Raises DatasetError if the user's function returns none, and what `load_splits` raises."""
    splits = load_splits(dataset, seed)
    if splits.test is None:
        raise DatasetError(f"{dataset.entrypoint} must return (train, validation, test) to be tested: it returns two")
    return LabelledImages(splits.test.inputs, splits.test.labels, splits.n_classes)
