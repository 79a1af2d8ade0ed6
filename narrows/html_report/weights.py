"""How large the weights of a saved model are."""

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
    """Weights of a model by absolute value: `counts[i]` of them are between `edges[i]` and `edges[i + 1]`.

    The first bin also counts smaller weights, zeros included, and the last one larger ones.
    """

    edges: Sequence[float]
    counts: Sequence[int]

    @property
    def n_weights(self) -> int:
        """Number of all weights."""
        return sum(self.counts)


def histogram_of(path: Path) -> Histogram | None:
    """Return the histogram of the weights of linear and convolution layers in a safetensors file.

    None if the file cannot be read or has no such layer.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, KeyError, TypeError):  # damaged, or a dtype that numpy does not have
        return None
    weights = [tensor for name, tensor in tensors.items() if name.endswith("weight") and tensor.ndim >= 2]
    if not weights:
        return None
    edges = np.logspace(*EXPONENTS, N_BINS + 1)
    sizes = np.abs(np.concatenate([tensor.ravel() for tensor in weights]).astype(np.float64))
    counts, _ = np.histogram(np.clip(np.nan_to_num(sizes, nan=np.inf), edges[0], edges[-1]), edges)
    return Histogram(edges.tolist(), counts.tolist())
