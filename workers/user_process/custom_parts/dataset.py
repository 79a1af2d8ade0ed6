"""A user's own data set, as tensors."""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from service.schemas.study.data import OwnDataset
from workers.data.images import LabelledImages
from workers.data.trial_data import TrialData
from workers.errors import DatasetError
from workers.user_process.custom_parts.entrypoint import call

PARTS = ("train", "validation", "test")
WHOLE_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.int8)
BYTE_SCALE = 255.0


@dataclass(frozen=True)
class Part:
    inputs: Tensor  # float32, uint8 or int64, [n, …]
    labels: Tensor  # int64 [n]


@dataclass(frozen=True)
class CustomParts:
    train: Part
    validation: Part
    test: Part | None

    @property
    def n_classes(self) -> int:
        """By the labels to train on and to validate with: the classes are 0 up to the largest of them."""
        return 1 + int(max(self.train.labels.max(), self.validation.labels.max()))


def read_parts(dataset: OwnDataset, seed: int) -> CustomParts:
    """The parts that the user's function gives, called once in a process.

    What it draws from the generators of torch, numpy and Python comes from `seed`, which all trials of a study share.

    It gives (train, validation) or (train, validation, test). Each part is a pair of tensors, inputs [n, …] and labels
    [n], or a map-style torch data set of such pairs for one example each, whose inputs have one shape. Inputs are
    floating (the model gets float32), uint8 (float32 from 0 to 1) or other integers (int64, as tokens are); labels are
    classes from 0. Raises DatasetError, MissingCodeError, CustomCodeError, and what the code raises.
    """
    return _read(dataset.model_dump_json(exclude={"augment"}), seed)


@lru_cache(maxsize=1)
def _read(dataset_json: str, seed: int) -> CustomParts:
    dataset = OwnDataset.model_validate_json(dataset_json)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        given = call(dataset.entrypoint, dataset.arguments)
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        shown = f"{len(given)} values" if isinstance(given, tuple | list) else type(given).__name__
        raise DatasetError(
            f"{dataset.entrypoint} must return (train, validation) or (train, validation, test): {shown}"
        )
    parts = [_part(part, name) for part, name in zip(given, PARTS, strict=False)]
    first = parts[0]
    for part, name in zip(parts[1:], PARTS[1:], strict=False):
        if part.inputs.shape[1:] != first.inputs.shape[1:] or part.inputs.dtype != first.inputs.dtype:
            raise DatasetError(f"inputs of {name} must be like those of train: {_shown(part)}, not {_shown(first)}")
    return CustomParts(parts[0], parts[1], parts[2] if len(parts) == 3 else None)


def _shown(part: Part) -> str:
    return f"{str(part.inputs.dtype).removeprefix('torch.')} {list(part.inputs.shape[1:])}"


def _part(given: Any, name: str) -> Part:
    if isinstance(given, TensorDataset):
        given = given.tensors
    if isinstance(given, Dataset):
        given = _stacked(given, name)
    pair = isinstance(given, tuple | list) and len(given) == 2
    if not pair or not all(isinstance(one, Tensor) for one in given):
        raise DatasetError(
            f"{name} must be a pair of tensors, inputs and labels, or a torch data set of such pairs: {_kind(given)}"
        )
    inputs, labels = given
    return Part(_inputs(inputs.detach().cpu(), name), _labels(labels.detach().cpu(), len(inputs), name))


def _kind(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {', '.join(type(one).__name__ for one in value[:3])}"
    return type(value).__name__


def _stacked(examples: Dataset[Any], name: str) -> tuple[Tensor, Tensor]:
    """Read every example once, into one tensor."""
    if isinstance(examples, IterableDataset) or not hasattr(examples, "__len__"):
        raise DatasetError(f"{name} must have a length and examples by their index: {type(examples).__name__}")
    n = len(examples)
    inputs, labels = torch.empty(0), torch.empty(n, dtype=torch.int64)
    for index in range(n):
        example = examples[index]
        one, label = example if isinstance(example, tuple | list) and len(example) == 2 else (None, None)
        if not isinstance(one, Tensor):
            raise DatasetError(f"example {index} of {name} must be a pair of a tensor and a class: {_kind(example)}")
        if index == 0:
            inputs = torch.empty((n, *one.shape), dtype=one.dtype)
        if one.shape != inputs.shape[1:] or one.dtype != inputs.dtype:
            shapes = f"{list(one.shape)} of {one.dtype} after {list(inputs.shape[1:])} of {inputs.dtype}"
            raise DatasetError(f"inputs of {name} must be of one shape and kind: {shapes}")
        inputs[index] = one
        labels[index] = _class_of(label, index, name)
    return inputs, labels


def _class_of(label: Any, index: int, name: str) -> int:
    number = label.item() if hasattr(label, "item") and getattr(label, "size", 1) != 0 else label
    if isinstance(number, bool) or not isinstance(number, int):
        raise DatasetError(f"the label of example {index} of {name} must be the number of a class: {label!r}")
    return number


def _inputs(inputs: Tensor, name: str) -> Tensor:
    if inputs.ndim < 2 or len(inputs) == 0:
        raise DatasetError(f"inputs of {name} must be [n, …] of at least one example: {list(inputs.shape)}")
    if inputs.dtype == torch.uint8:
        return inputs
    if inputs.dtype in WHOLE_NUMBERS:
        return inputs.long()
    if not inputs.is_floating_point():
        raise DatasetError(f"inputs of {name} must be floating, uint8 or other integers: {inputs.dtype}")
    floats = inputs.float()
    if not floats.isfinite().all():
        raise DatasetError(f"inputs of {name} must be finite: there is nan or infinity among them")
    return floats


def _labels(labels: Tensor, n: int, name: str) -> Tensor:
    if labels.shape != (n,):
        raise DatasetError(f"labels of {name} must be [n], of one class for each input: {list(labels.shape)}, n={n}")
    if labels.dtype not in (*WHOLE_NUMBERS, torch.uint8):
        raise DatasetError(f"labels of {name} must be integers, the numbers of classes: {labels.dtype}")
    if int(labels.min()) < 0:
        raise DatasetError(f"labels of {name} must count classes from 0: {int(labels.min())}")
    return labels.long()


def custom_data(parts: CustomParts, device: torch.device) -> TrialData:
    """The parts to train on and to validate with, on a device."""
    n_train, n_validation = len(parts.train.labels), len(parts.validation.labels)
    inputs = torch.cat([parts.train.inputs, parts.validation.inputs])
    scale = BYTE_SCALE if inputs.dtype == torch.uint8 else 1.0
    return TrialData(
        images=inputs.to(device),
        labels=torch.cat([parts.train.labels, parts.validation.labels]).to(device),
        train=torch.arange(n_train, device=device),
        validation=torch.arange(n_train, n_train + n_validation, device=device),
        mean=torch.zeros(1, device=device),
        std=torch.full((1,), scale, device=device),
        n_classes=parts.n_classes,
        has_statistics=False,
    )


def load_custom_test(dataset: OwnDataset, seed: int) -> LabelledImages:
    """The test part, as `read_parts` reads it. Raises DatasetError when the user's function gives none."""
    parts = read_parts(dataset, seed)
    if parts.test is None:
        raise DatasetError(f"{dataset.entrypoint} must return (train, validation, test) to be tested: it returns two")
    return LabelledImages(parts.test.inputs, parts.test.labels, parts.n_classes)
