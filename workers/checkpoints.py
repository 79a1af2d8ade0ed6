"""Trials and models as safetensors, with JSON in the file's header. Nothing in them is ever run, unlike in a pickle."""

import json
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from service.schemas.training import Training
from workers.errors import CheckpointError
from workers.lanes.state import LaneState

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


def dump_model(model: nn.Module, description: dict[str, Any]) -> bytes:
    """The weights of a trained model by torch's names, and a description of it, as a file's content."""
    return _dump({name: tensor.cpu() for name, tensor in model.state_dict().items()}, description)


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
