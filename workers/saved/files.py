"""Checkpoints and models as safetensors files with JSON in their header. Unlike a pickle, such a file runs no code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from service.schemas.protocol import Lease
from service.schemas.study.models import CustomModel
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.errors import CheckpointError
from workers.lanes.lane_state import LaneState
from workers.models.build import build_model

HEADER = "narrows"
"""Key of the JSON text in the metadata of a safetensors file."""
VERSION = 1
"""Version of the format of checkpoints and models."""


def dump_checkpoint(state: LaneState, training: Training, seed: int) -> bytes:
    """Return the content of a checkpoint file for an unfinished trial."""
    values = {"version": VERSION, "training": training.model_dump(mode="json"), "seed": seed, "lane": state.values}
    return _dump(state.tensors, values)


def read_checkpoint(content: bytes, training: Training, seed: int) -> LaneState:
    """Return the state in a checkpoint. Raises CheckpointError if it is damaged or belongs to another trial."""
    tensors, values = _read(content)
    if values.get("version") != VERSION:
        raise CheckpointError(f"a checkpoint must be of version {VERSION}: {values.get('version')!r}")
    if values.get("training") != training.model_dump(mode="json") or values.get("seed") != seed:
        raise CheckpointError("a checkpoint must be of the same trial: its training or its seed differs")
    return LaneState(tensors, values.get("lane", {}))


def dump_model(weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> bytes:
    """Return the content of a model file, given weights under the names of torch's `state_dict` and a description."""
    return _dump({name: tensor.cpu() for name, tensor in weights.items()}, dict(description))


def describe_model(lease: Lease, metrics: Mapping[str, float], data: TrialData) -> dict[str, Any]:
    """Return the description of a trained model: its trial, how it was trained, and how to build and use it."""
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
        "class_names": list(data.class_names),
        "mean": data.mean.flatten().tolist(),
        "std": data.std.flatten().tolist(),
    }


def previous_checkpoint(path: Path) -> Path:
    """Return the path of the checkpoint before the newest one at `path`."""
    return path.with_suffix(".before")


def load_model(path: str | Path, custom_model: nn.Module | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """Return a model in evaluation mode and its description, from a file that `narrows model` has written.

    A file runs no code. For a custom model pass `custom_model`, the module that your `build_model` returns for the
    trial's arguments. A built-in model takes float images, [batch, channels, height, width], with pixels from 0 to 255
    normalized by the description's `mean` and `std` of each channel, and returns logits, [batch, classes], in the order
    of the description's `class_names` (empty where the data set has none). Raises CheckpointError if the file is not
    such a model, and OSError.
    """
    weights, description = read_model(Path(path).read_bytes())
    try:
        training = Training.model_validate(description["training"])
        model = _built_in(training, description) if custom_model is None else custom_model
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"a model file must be one that narrows has written: {path}: {error}") from error
    return model.eval(), description


def _built_in(training: Training, description: Mapping[str, Any]) -> nn.Module:
    if isinstance(training.model, CustomModel):
        raise ValueError(f"load_model needs custom_model, the module that {training.model.entrypoint} returns")
    channels, height, width = description["image_shape"]
    return build_model(training.model, (channels, height, width), description["n_classes"])


def read_model(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights and description of a model file's content. Raises CheckpointError if it is damaged."""
    return _read(content)


def _dump(tensors: dict[str, Tensor], values: dict[str, Any]) -> bytes:
    return save(_separate(tensors), {HEADER: json.dumps(values)})


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors takes them: contiguous, and copied where several share memory."""
    separate, seen = {}, set()
    for name, tensor in tensors.items():
        plain = tensor.contiguous()
        memory = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if memory in seen else plain
        seen.add(memory)
    return separate


def _read(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        return load(content), json.loads(header["__metadata__"][HEADER])
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"the file must be a safetensors file of Narrows: {error!r}") from error
