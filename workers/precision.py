from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from workers.errors import PrecisionError


def autocast(precision: Literal["fp32", "bf16", "auto"], device: torch.device) -> AbstractContextManager[object]:
    """The context of every forward pass; it can be entered again and again.

    `auto` is bf16 where CUDA has hardware for it, and fp32 elsewhere. Raises PrecisionError.
    """
    if precision == "fp32" or (precision == "auto" and not _has_bf16_hardware(device)):
        return nullcontext()
    if not _can_autocast_bf16(device):
        raise PrecisionError(f"precision must be one that the device has: {device} has no bf16")
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _has_bf16_hardware(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _can_autocast_bf16(device: torch.device) -> bool:
    return device.type == "cpu" or _has_bf16_hardware(device)
