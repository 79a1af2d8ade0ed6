from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

EXPONENTS = (-7.0, 1.0)
N_BINS = 40


@dataclass(frozen=True)
class Histogram:
    """How many weights of a model have which size: `counts[i]` have one from `edges[i]` to `edges[i + 1]`.

    The first and the last bin have those beyond too, zeros included.
    """

    edges: Sequence[float]
    counts: Sequence[int]

    @property
    def n_weights(self) -> int:
        return sum(self.counts)


def histogram_of(path: Path) -> Histogram | None:
    """The weights of linear and convolution layers in a safetensors file; None when there is nothing to read."""
    try:
        tensors = load_file(path)
    except (SafetensorError, KeyError, TypeError):  # damaged, or of numbers that numpy does not have
        return None
    weights = [tensor for name, tensor in tensors.items() if name.endswith("weight") and tensor.ndim >= 2]
    if not weights:
        return None
    edges = np.logspace(*EXPONENTS, N_BINS + 1)
    sizes = np.abs(np.concatenate([tensor.ravel() for tensor in weights]).astype(np.float64))
    counts, _ = np.histogram(np.clip(np.nan_to_num(sizes, nan=np.inf), edges[0], edges[-1]), edges)
    return Histogram(edges.tolist(), counts.tolist())
