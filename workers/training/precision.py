"""Number formats of the forward pass."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from service.schemas.study.models import Mlp
from service.schemas.study.training import Training
from workers.errors import PrecisionError

BF16_UNITS = ("avx512_bf16", "amx_bf16")
"""CPU capabilities that compute bf16, by torch's names. Without them bf16 made a cnn eight times slower (EPYC)."""


def resolve_precision(training: Training, device: torch.device) -> Literal["fp32", "bf16"]:
    """Return the precision that a training has on a device.

    `auto` becomes bf16 if the device has hardware for it, except for an mlp on a CPU, which is faster in fp32. With
    bf16 a step of a small cnn took 29 ms instead of 64 (EPYC with avx512_bf16, one thread).
    """
    if training.precision != "auto":
        return training.precision
    if device.type == "cpu" and isinstance(training.model, Mlp):
        return "fp32"
    return "bf16" if has_bf16_hardware(device) else "fp32"


def autocast(training: Training, device: torch.device) -> AbstractContextManager[object]:
    """Return the context for every forward pass of a training. It can be entered repeatedly.

    Raises PrecisionError if the training needs bf16 and the device, other than a CPU, has no hardware for it.
    """
    if resolve_precision(training, device) == "fp32":
        return nullcontext()
    if device.type != "cpu" and not has_bf16_hardware(device):
        raise PrecisionError(f"precision must be one that the device supports: {device} has no bf16")
    return torch.autocast(device.type, dtype=torch.bfloat16)


def has_bf16_hardware(device: torch.device) -> bool:
    """Whether a device computes bf16 in hardware."""
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(unit) for unit in BF16_UNITS)
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
