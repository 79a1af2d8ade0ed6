"""Large matrix products of lanes on a CPU: by oneDNN where PyTorch's own take longer.

PyTorch gives float32 products to MKL, which has no AVX-512 kernels for AMD's processors; oneDNN, which PyTorch uses for
convolutions, has. On one core of an EPYC, 128 images of 784 pixels times a weight of 128 units take 145 µs instead of
283, its gradient 152 instead of 280. Small products, and gradients of inputs, were not faster.

Which products go there follows from their shapes in one lane alone: a result depends neither on the number of lanes nor
on a measurement.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LARGE_WEIGHT = 32_768
LARGE_BATCH = 64
"""Elements of a weight, and examples in a batch, from which on a product is large."""

CPU_INFO = Path("/proc/cpuinfo")


@cache
def onednn_is_faster() -> bool:
    """Whether this machine's processor is one for which large products go to oneDNN."""
    return (
        torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and CPU_INFO.exists()
        and "AuthenticAMD" in CPU_INFO.read_text(encoding="utf-8")
    )


def is_large(weight: Tensor) -> bool:
    """Whether products with a weight, [lanes, units, inputs], and LARGE_BATCH examples or more are large here."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight[0].numel() >= LARGE_WEIGHT
        and onednn_is_faster()
    )


def product(left: Tensor, right: Tensor) -> Tensor:
    """One lane's [m, k] times [k, n], float32, by oneDNN."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.mT, None, "none", [], "")
    return result
