"""Trials and models as safetensors, with JSON in the file's header. Nothing in them is ever run, unlike in a pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from service.schemas.protocol import Lease
from service.schemas.study.models import OwnModel
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.errors import CheckpointError
from workers.lanes.lane_state import LaneState
from workers.models.build import build_model

HEADER = "narrows"
VERSION = 1


def dump_checkpoint(state: LaneState, training: Training, seed: int) -> bytes:
    """A trial in the middle of its training, as a file's content."""
    values = {"version": VERSION, "training": training.model_dump(mode="json"), "seed": seed, "lane": state.values}
    return _dump(state.tensors, values)


def read_checkpoint(content: bytes, training: Training, seed: int) -> LaneState:
    """The state in a checkpoint. Raises CheckpointError when it is damaged, or that of another trial."""
    tensors, values = _read(content)
    if values.get("version") != VERSION:
        raise CheckpointError(f"a checkpoint must be of version {VERSION}: {values.get('version')!r}")
    if values.get("training") != training.model_dump(mode="json") or values.get("seed") != seed:
        raise CheckpointError("a checkpoint must be of the same trial: its training or its seed differs")
    return LaneState(tensors, values.get("lane", {}))


def dump_model(weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> bytes:
    """The weights of a trained model by torch's names, and its description, as a file's content."""
    return _dump({name: tensor.cpu() for name, tensor in weights.items()}, dict(description))


def describe_model(lease: Lease, metrics: Mapping[str, float], data: TrialData) -> dict[str, Any]:
    """Which trial a model is of, how it was trained, and what it takes to build and to use it."""
    return {
        "version": VERSION,
        "study": lease.study,
        "trial": lease.trial_number,
        "params": lease.params,
        "training": lease.training.model_dump(mode="json"),
        "seed": lease.seed,
        "metrics": dict(metrics),
        "image_shape": list(data.images.shape[1:]),
        "n_classes": data.n_classes,
        "mean": data.mean.flatten().tolist(),
        "std": data.std.flatten().tolist(),
    }


def previous_checkpoint(path: Path) -> Path:
    """Where the checkpoint is that another one took the place of."""
    return path.with_suffix(".before")


def load_model(path: str | Path, own: nn.Module | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """A model in evaluation mode, and its description, from what `narrows model` has written.

    A file runs no code: for an own model, `own` is one that your build_model has given for its arguments. A built-in
    one takes float images, [batch, channels, height, width], of pixels from 0 to 255 that were normalized by the
    description's mean and std of each channel, and gives logits, [batch, classes]. Raises CheckpointError and OSError.
    """
    weights, description = read_model(Path(path).read_bytes())
    try:
        training = Training.model_validate(description["training"])
        model = own or _built_in(training, description)
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"a model must be one that narrows has written: {path}: {error}") from error
    return model.eval(), description


def _built_in(training: Training, description: Mapping[str, Any]) -> nn.Module:
    if isinstance(training.model, OwnModel):
        raise ValueError(f"give load_model the module that {training.model.entrypoint} builds")
    channels, height, width = description["image_shape"]
    return build_model(training.model, (channels, height, width), description["n_classes"])


def read_model(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and description. Raises CheckpointError."""
    return _read(content)


def _dump(tensors: dict[str, Tensor], values: dict[str, Any]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {HEADER: json.dumps(values)})


def _read(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        return load(content), json.loads(header["__metadata__"][HEADER])
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"a checkpoint must be a safetensors file of Narrows: {error!r}") from error
