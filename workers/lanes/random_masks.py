"""Gaussian noise and dropout masks. Each lane draws its own from its own generator, whatever the other lanes draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Generator, Tensor

WORD = 4
"""Mask elements per 64-bit random word: 16 bits each, which is four times as fast as drawing a float for each."""

LEVELS = 2**16
LOWEST = -(2**15)


@dataclass(frozen=True)
class NoisePoint:
    """A point of a model where noise is added and a mask is applied, with the size of each for one image."""

    noise_size: int
    mask_size: int


@dataclass(frozen=True)
class Rates:
    """Standard deviations of noise and dropout rates of one lane, one value for each noise point."""

    noise: Sequence[float]
    dropout: Sequence[float]


class RandomNumbers:
    """Raw random numbers, [lanes, row]. A row holds the numbers of one noise point after another."""

    def __init__(self, sizes: Sequence[int], n_lanes: int, batch_size: int, device: torch.device, dtype: torch.dtype):
        self._sizes = sizes
        self._starts_by_n_images: dict[int, list[int]] = {}
        # Zeros, because numbers that were never drawn are read too: for a lane without noise, which multiplies them by
        # zero.
        self.rows = torch.zeros(n_lanes, self._starts(batch_size)[-1], dtype=dtype, device=device)

    def _starts(self, n_images: int) -> list[int]:
        """Column at which each noise point starts, and the column after the last one."""
        if n_images not in self._starts_by_n_images:
            lengths = (-(-size * n_images // WORD) * WORD for size in self._sizes)
            self._starts_by_n_images[n_images] = list(accumulate(lengths, initial=0))
        return self._starts_by_n_images[n_images]

    def of_point(self, lanes: slice, point: int, n_images: int) -> Tensor:
        """Return the numbers of one noise point, [lanes, n_images · size], sharing memory."""
        start = self._starts(n_images)[point]
        return self.rows[lanes, start : start + self._sizes[point] * n_images]

    def used_part(self, lane: int, rates: Sequence[float], n_images: int) -> Tensor:
        """Return the part of a lane's row from its first noise point with a positive rate to its last."""
        used = [point for point, rate in enumerate(rates) if rate > 0]
        starts = self._starts(n_images)
        return self.rows[lane, starts[used[0]] : starts[used[-1] + 1]] if used else self.rows[lane, :0]


class RandomMasks:
    """Noise and dropout masks for one training step of some neighbouring lanes, at every noise point of a model."""

    def __init__(self, points: Sequence[NoisePoint], n_lanes: int, batch_size: int, like: Tensor) -> None:
        """Reserve memory for `n_lanes` and batches of at most `batch_size`, of the device and dtype of `like`."""
        self._points = points
        self._outputs = [
            (
                like.new_empty(n_lanes * point.noise_size * batch_size),
                like.new_empty(n_lanes * point.mask_size * batch_size),
            )
            for point in points
        ]
        self._normal = RandomNumbers([p.noise_size for p in points], n_lanes, batch_size, like.device, like.dtype)
        self._bits = RandomNumbers([p.mask_size for p in points], n_lanes, batch_size, like.device, torch.int16)
        self._like = like
        self._lanes, self._n_images = slice(0, 0), 0
        self.step_seeds: Callable[[], Sequence[int]] = list
        """Return one seed for each lane of this step, for models that draw from torch's global generators."""
        self.custom_rates: Sequence[Sequence[float] | None] = []
        """custom_rates[lane][layer]: dropout rates of a custom model. None for a lane means: the layer's own `p`."""
        self.generators: Sequence[Generator] = []
        """Generators of the lanes of this step."""
        self.set_rates([])

    def set_rates(self, rates: Sequence[Rates]) -> None:
        """Set the rates of the lanes, from lane 0 on."""
        self._rates = rates
        shape = len(rates), len(self._points)
        noise = torch.tensor([lane.noise for lane in rates], dtype=torch.float64).view(shape)
        dropped = torch.tensor([[dropped_levels(rate) for rate in lane.dropout] for lane in rates]).double().view(shape)
        self._noisy, self._dropping = noise.any(0).tolist(), dropped.any(0).tolist()
        self._noise = noise.to(self._like).T.unsqueeze(2)  # [points, lanes, 1]
        self._threshold = (dropped + LOWEST).to(self._like).T.unsqueeze(2)
        self._scale = (LEVELS / (LEVELS - dropped)).to(self._like).T.unsqueeze(2)

    def draw(self, lanes: slice, generators: Sequence[Generator], n_images: int) -> None:
        """Draw the numbers for a batch of `n_images` in each of some neighbouring lanes."""
        self._lanes, self._n_images, self.generators = lanes, n_images, generators
        if not (any(self._noisy) or any(self._dropping)):
            return
        for lane, generator in zip(range(lanes.start, lanes.stop), generators, strict=True):
            rates = self._rates[lane]
            normal = self._normal.used_part(lane, rates.noise, n_images)
            if len(normal):
                normal.normal_(generator=generator)
            bits = self._bits.used_part(lane, rates.dropout, n_images)
            if len(bits):
                bits.view(torch.int64).random_(-(2**63), None, generator=generator)

    def noise(self, point: int) -> Tensor | None:
        """Return the noise to add, [lanes, n_images · noise_size], or None when no lane has noise at this point."""
        if not self._noisy[point]:
            return None
        drawn = self._normal.of_point(self._lanes, point, self._n_images)
        return torch.mul(drawn, self._noise[point, self._lanes], out=_front(self._outputs[point][0], drawn))

    def mask(self, point: int) -> Tensor | None:
        """Return the factors, 0 or 1 / (1 - rate), [lanes, n_images · mask_size], or None when no lane drops any."""
        if not self._dropping[point]:
            return None
        drawn = self._bits.of_point(self._lanes, point, self._n_images)
        mask = _front(self._outputs[point][1], drawn).copy_(drawn)
        return mask.ge_(self._threshold[point, self._lanes]).mul_(self._scale[point, self._lanes])


def dropped_levels(rate: float) -> int:
    """Return how many of the 65,536 equally likely levels mean `dropped` at a rate; never all of them."""
    return min(round(rate * LEVELS), LEVELS - 1)


def _front(buffer: Tensor, like: Tensor) -> Tensor:
    return buffer[: like.numel()].view(like.shape)
