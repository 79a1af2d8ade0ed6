"""Gaussian noise and dropout masks. Each lane draws its own from its own generator, whatever the other lanes draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
    """Raw random numbers, [lanes, row]. A row holds the numbers of one noise point after another.

    A lane that is padded draws by its own sizes, so its row begins with the numbers that it would have alone.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        n_lanes: int,
        batch_size: int,
        device: torch.device,
        dtype: torch.dtype,
        *,
        images_last: bool,
    ) -> None:
        """`sizes` are those of the noise points for one image, and `images_last` is as in RandomMasks."""
        self.sizes = tuple(sizes)
        self._own_sizes = [self.sizes] * n_lanes
        self._images_last = images_last
        self._known_starts: dict[tuple[tuple[int, ...], int], list[int]] = {}
        # Zeros, because numbers that were never drawn are read too: for a lane without noise, which multiplies them by
        # zero.
        n_columns = self._starts(self.sizes, batch_size)[-1]
        self.rows = torch.zeros(n_lanes, n_columns, dtype=dtype, device=device)

    def set_sizes(self, own_sizes: Sequence[Sequence[int]]) -> None:
        """Set the sizes of the lanes' own noise points, from lane 0 on."""
        self._own_sizes = [tuple(sizes) for sizes in own_sizes]

    def _starts(self, sizes: tuple[int, ...], n_images: int) -> list[int]:
        """Column at which each noise point starts, and the column after the last one."""
        key = sizes, n_images
        if key not in self._known_starts:
            lengths = (-(-size * n_images // WORD) * WORD for size in sizes)
            self._known_starts[key] = list(accumulate(lengths, initial=0))
        return self._known_starts[key]

    def is_padded(self, lanes: slice, own_n_images: Sequence[int], n_images: int) -> bool:
        """Whether a batch of `n_images` in these lanes has rows or units that are not the lane's own."""
        own = self._own_sizes[lanes]
        return any(sizes != self.sizes for sizes in own) or any(n != n_images for n in own_n_images)

    def of_point(self, lanes: slice, point: int, n_images: int) -> Tensor:
        """Return the numbers of one noise point in lanes that are not padded, [lanes, n_images · size], as a view."""
        start = self._starts(self.sizes, n_images)[point]
        return self.rows[lanes, start : start + self.sizes[point] * n_images]

    def pad(self, lanes: slice, point: int, own_n_images: Sequence[int], out: Tensor) -> Tensor:
        """Copy the numbers of one noise point to `out`, [lanes, n_images · size], and return it; others become zero."""
        out.zero_()
        indices = range(lanes.start, lanes.stop)
        for lane, row, n in zip(indices, out, own_n_images, strict=True):
            sizes = self._own_sizes[lane]
            start, size = self._starts(sizes, n)[point], sizes[point]
            drawn = self.rows[lane, start : start + n * size]
            if point == 0 or not self._images_last:
                row.view(-1, self.sizes[point])[:n, :size] = drawn.view(n, size)
            else:
                row.view(self.sizes[point], -1)[:size, :n] = drawn.view(size, n)
        return out

    def used_part(self, lane: int, rates: Sequence[float], n_images: int) -> Tensor:
        """Return the part of a lane's row from its first noise point with a positive rate to its last."""
        used = [point for point, rate in enumerate(rates) if rate > 0]
        starts = self._starts(self._own_sizes[lane], n_images)
        return self.rows[lane, starts[used[0]] : starts[used[-1] + 1]] if used else self.rows[lane, :0]


class RandomMasks:
    """Noise and dropout masks for one training step of some neighbouring lanes, at every noise point of a model."""

    def __init__(
        self, points: Sequence[NoisePoint], n_lanes: int, batch_size: int, like: Tensor, *, images_last: bool = False
    ) -> None:
        """Reserve memory for `n_lanes` and batches of at most `batch_size`, of the device and dtype of `like`.

        `images_last` says that the numbers of a hidden noise point are ordered as [size, n_images]. Otherwise, and at
        the input, they are ordered as [n_images, size].
        """
        self._points = points
        self._outputs = [
            (
                like.new_empty(n_lanes * point.noise_size * batch_size),
                like.new_empty(n_lanes * point.mask_size * batch_size),
            )
            for point in points
        ]
        make = partial(RandomNumbers, device=like.device, images_last=images_last)
        self._normal = make(_noise_sizes(points), n_lanes, batch_size, dtype=like.dtype)
        self._bits = make(_mask_sizes(points), n_lanes, batch_size, dtype=torch.int16)
        self._like = like
        self._lanes, self._n_images = slice(0, 0), 0
        self._own_n_images: Sequence[int] = []
        self._is_padded = False
        self.step_seeds: Callable[[], Sequence[int]] = list
        """Return one seed for each lane of this step, for models that draw from torch's global generators."""
        self.custom_rates: Sequence[Sequence[float] | None] = []
        """custom_rates[lane][layer]: dropout rates of a custom model. None for a lane means: the layer's own `p`."""
        self.generators: Sequence[Generator] = []
        """Generators of the lanes of this step."""
        self.set_rates([])

    def set_rates(self, rates: Sequence[Rates], points: Sequence[Sequence[NoisePoint]] | None = None) -> None:
        """Set the rates of the lanes, from lane 0 on.

        `points` are the noise points of each lane's own model, which may be smaller; None if no lane is padded.
        """
        self._rates = rates
        points = points or [self._points] * len(rates)
        self._normal.set_sizes([_noise_sizes(own) for own in points])
        self._bits.set_sizes([_mask_sizes(own) for own in points])
        shape = len(rates), len(self._points)
        noise = torch.tensor([lane.noise for lane in rates], dtype=torch.float64).view(shape)
        dropped = torch.tensor([[dropped_levels(rate) for rate in lane.dropout] for lane in rates]).double().view(shape)
        self._noisy, self._dropping = noise.any(0).tolist(), dropped.any(0).tolist()
        self._noise = noise.to(self._like).T.unsqueeze(2)  # [points, lanes, 1]
        self._threshold = (dropped + LOWEST).to(self._like).T.unsqueeze(2)
        self._scale = (LEVELS / (LEVELS - dropped)).to(self._like).T.unsqueeze(2)

    def draw(
        self,
        lanes: slice,
        generators: Sequence[Generator],
        n_images: int,
        own_n_images: Sequence[int] | None = None,
    ) -> None:
        """Draw the numbers for a batch of `n_images` in each of some neighbouring lanes.

        `own_n_images` says how many images of the batch are each lane's own; None means all.
        """
        self._lanes, self._n_images, self.generators = lanes, n_images, generators
        if not (any(self._noisy) or any(self._dropping)):
            return
        self._own_n_images = own_n_images or [n_images] * len(generators)
        self._is_padded = self._bits.is_padded(lanes, self._own_n_images, n_images)
        for lane, generator, n in zip(range(lanes.start, lanes.stop), generators, self._own_n_images, strict=True):
            rates = self._rates[lane]
            normal = self._normal.used_part(lane, rates.noise, n)
            if len(normal):
                normal.normal_(generator=generator)
            bits = self._bits.used_part(lane, rates.dropout, n)
            if len(bits):
                bits.view(torch.int64).random_(-(2**63), None, generator=generator)

    def noise(self, point: int) -> Tensor | None:
        """Return the noise to add, [lanes, n_images · noise_size], or None when no lane has noise at this point.

        It is zero in rows and units that are not a lane's own.
        """
        if not self._noisy[point]:
            return None
        out, factor = self._output(point, self._normal, 0), self._noise[point, self._lanes]
        if self._is_padded:
            return self._normal.pad(self._lanes, point, self._own_n_images, out).mul_(factor)
        return torch.mul(self._normal.of_point(self._lanes, point, self._n_images), factor, out=out)

    def mask(self, point: int) -> Tensor | None:
        """Return the factors, 0 or 1 / (1 - rate), [lanes, n_images · mask_size], or None when no lane drops any."""
        if not self._dropping[point]:
            return None
        mask = self._output(point, self._bits, 1)
        if self._is_padded:
            self._bits.pad(self._lanes, point, self._own_n_images, mask)
        else:
            mask.copy_(self._bits.of_point(self._lanes, point, self._n_images))
        return mask.ge_(self._threshold[point, self._lanes]).mul_(self._scale[point, self._lanes])

    def _output(self, point: int, numbers: RandomNumbers, kind: int) -> Tensor:
        """Memory for the noise (kind 0) or the mask (kind 1) of this step, [lanes, n_images · size]."""
        n_lanes, n_columns = len(self.generators), self._n_images * numbers.sizes[point]
        return self._outputs[point][kind][: n_lanes * n_columns].view(n_lanes, n_columns)


def dropped_levels(rate: float) -> int:
    """Return how many of the 65,536 equally likely levels mean `dropped` at a rate; never all of them."""
    return min(round(rate * LEVELS), LEVELS - 1)


def _noise_sizes(points: Sequence[NoisePoint]) -> list[int]:
    return [point.noise_size for point in points]


def _mask_sizes(points: Sequence[NoisePoint]) -> list[int]:
    return [point.mask_size for point in points]
