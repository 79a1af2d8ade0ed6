"""Large matrix products on a CPU, computed by oneDNN where PyTorch's own products take longer.

PyTorch computes float32 products by MKL, which has no AVX-512 kernels for AMD's processors. oneDNN, which PyTorch uses
for convolutions, has them. On one core of an EPYC, 128 images of 784 pixels times a weight of 128 units take 145 µs
instead of 283, and its gradient 152 µs instead of 280. Small products and gradients of inputs were not faster.

The shapes in one lane decide which products oneDNN computes. So a result depends neither on the number of lanes nor on
a measurement.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LARGE_WEIGHT = 32_768
"""Smallest number of elements of a weight whose products are large."""
LARGE_BATCH = 64
"""Smallest number of examples in a batch whose products are large."""

CPU_INFO = Path("/proc/cpuinfo")


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN computes large products faster than PyTorch on this machine's processor."""
    return (
        torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and CPU_INFO.exists()
        and "AuthenticAMD" in CPU_INFO.read_text(encoding="utf-8")
    )


def is_large(weight: Tensor) -> bool:
    """Whether oneDNN should compute a weight's products, [lanes, units, inputs], with LARGE_BATCH examples or more."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight[0].numel() >= LARGE_WEIGHT
        and onednn_is_faster()
    )


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """Return [m, k] times [k, n], float32, computed by oneDNN."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.mT, None, "none", [], "")
    return result
