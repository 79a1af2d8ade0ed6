"""The random numbers of dropout and noise. Each lane draws its own, from its own generator and for itself alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Generator, Tensor

WORD = 4
"""Random words have 64 bits, of which each element of a mask takes 16: four times as fast as a float for each."""

LEVELS = 2**16
LOWEST = -(2**15)


@dataclass(frozen=True)
class NoisePoint:
    """Where a model draws: for each image so many numbers of noise, and so many of a dropout mask."""

    noise_size: int
    mask_size: int


@dataclass(frozen=True)
class Rates:
    """A lane's standard deviations of noise and dropout rates, one for each site."""

    noise: Sequence[float]
    rates: Sequence[float]


class Numbers:
    """Rows of raw random numbers, one for each lane, with a stretch for each site."""

    def __init__(self, sizes: Sequence[int], n_lanes: int, batch_size: int, device: torch.device, dtype: torch.dtype):
        self._sizes = sizes
        self._found: dict[int, list[int]] = {}
        # Zeros, as a lane without noise reads, and multiplies by zero, what was never drawn.
        self.rows = torch.zeros(n_lanes, self._starts(batch_size)[-1], dtype=dtype, device=device)

    def _starts(self, n_images: int) -> list[int]:
        """Of each site's stretch, and the end of the last."""
        if n_images not in self._found:
            lengths = (-(-size * n_images // WORD) * WORD for size in self._sizes)
            self._found[n_images] = list(accumulate(lengths, initial=0))
        return self._found[n_images]

    def site(self, lanes: slice, site: int, n_images: int) -> Tensor:
        """The numbers of one site, [lanes, n_images · size]."""
        start = self._starts(n_images)[site]
        return self.rows[lanes, start : start + self._sizes[site] * n_images]

    def stretch(self, lane: int, strengths: Sequence[float], n_images: int) -> Tensor:
        """What a lane has to draw: from the first site that it uses to the last."""
        used = [site for site, strength in enumerate(strengths) if strength > 0]
        starts = self._starts(n_images)
        return self.rows[lane, starts[used[0]] : starts[used[-1] + 1]] if used else self.rows[lane, :0]


class RandomMasks:
    """Noise and masks for a step of some neighbouring lanes."""

    def __init__(self, sites: Sequence[NoisePoint], n_lanes: int, batch_size: int, like: Tensor) -> None:
        self._sites = sites
        self._room = [
            (
                like.new_empty(n_lanes * site.noise_size * batch_size),
                like.new_empty(n_lanes * site.mask_size * batch_size),
            )
            for site in sites
        ]
        self._normal = Numbers([s.noise_size for s in sites], n_lanes, batch_size, like.device, like.dtype)
        self._bits = Numbers([s.mask_size for s in sites], n_lanes, batch_size, like.device, torch.int16)
        self._like = like
        self._lanes, self._n_images = slice(0, 0), 0
        self.step_seeds: Callable[[], Sequence[int]] = list
        """Of each lane one for this step, for what draws by itself."""
        self.own_rates: Sequence[Sequence[float] | None] = []
        """Of each lane the dropout rates of the layers of an own model; None for those that they have."""
        self.generators: Sequence[Generator] = []
        """Of the lanes of this step, for what draws more from them."""
        self.set_rates([])

    def set_rates(self, strengths: Sequence[Rates]) -> None:
        """What the lanes, from the first on, need from now on."""
        self._strengths = strengths
        shape = len(strengths), len(self._sites)
        noise = torch.tensor([lane.noise for lane in strengths], dtype=torch.float64).view(shape)
        dropped = torch.tensor([[levels_of(rate) for rate in lane.rates] for lane in strengths]).double().view(shape)
        self._noisy, self._dropping = noise.any(0).tolist(), dropped.any(0).tolist()
        self._noise = noise.to(self._like).T.unsqueeze(2)  # [sites, lanes, 1]
        self._threshold = (dropped + LOWEST).to(self._like).T.unsqueeze(2)
        self._scale = (LEVELS / (LEVELS - dropped)).to(self._like).T.unsqueeze(2)

    def draw(self, lanes: slice, generators: Sequence[Generator], n_images: int) -> None:
        """Draw for a batch of some neighbouring lanes."""
        self._lanes, self._n_images, self.generators = lanes, n_images, generators
        if not (any(self._noisy) or any(self._dropping)):
            return
        for lane, generator in zip(range(lanes.start, lanes.stop), generators, strict=True):
            strengths = self._strengths[lane]
            normal = self._normal.stretch(lane, strengths.noise, n_images)
            if len(normal):
                normal.normal_(generator=generator)
            bits = self._bits.stretch(lane, strengths.rates, n_images)
            if len(bits):
                bits.view(torch.int64).random_(-(2**63), None, generator=generator)

    def noise(self, site: int) -> Tensor | None:
        """What to add, [lanes, n_images · noise_size]; None when none of the lanes adds anything."""
        if not self._noisy[site]:
            return None
        drawn = self._normal.site(self._lanes, site, self._n_images)
        return torch.mul(drawn, self._noise[site, self._lanes], out=_front(self._room[site][0], drawn))

    def mask(self, site: int) -> Tensor | None:
        """What to multiply by: 0 or 1 / (1 - rate), [lanes, n_images · mask_size]; None when no lane drops any."""
        if not self._dropping[site]:
            return None
        drawn = self._bits.site(self._lanes, site, self._n_images)
        mask = _front(self._room[site][1], drawn).copy_(drawn)
        return mask.ge_(self._threshold[site, self._lanes]).mul_(self._scale[site, self._lanes])


def levels_of(rate: float) -> int:
    """How many of 65,536 equally likely values mean dropped; never all."""
    return min(round(rate * LEVELS), LEVELS - 1)


def _front(room: Tensor, like: Tensor) -> Tensor:
    return room[: like.numel()].view(like.shape)
