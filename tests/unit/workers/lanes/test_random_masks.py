"""Random numbers of lanes: independent of the neighbours, with the right share and scale."""

import math

import pytest
import torch
from torch import Generator, Tensor

from workers.lanes.random_masks import NoisePoint, RandomMasks, Rates

POINTS = [
    NoisePoint(noise_size=7, mask_size=7),
    NoisePoint(noise_size=30, mask_size=3),
    NoisePoint(noise_size=5, mask_size=5),
]
ALL = Rates(noise=[0.5, 0.1, 2.0], dropout=[0.2, 0.5, 0.9])
SOME = Rates(noise=[0.0, 0.3, 0.0], dropout=[0.0, 0.0, 0.25])
NONE = Rates(noise=[0.0, 0.0, 0.0], dropout=[0.0, 0.0, 0.0])


def make_masks(*rates: Rates, batch_size: int = 100) -> RandomMasks:
    masks = RandomMasks(POINTS, len(rates), batch_size, torch.zeros(0))
    masks.set_rates(rates)
    return masks


def drawn(
    masks: RandomMasks, seeds: list[int], n_images: int = 100, first: int = 0
) -> list[tuple[Tensor | None, Tensor | None]]:
    masks.draw(slice(first, first + len(seeds)), [Generator().manual_seed(seed) for seed in seeds], n_images)
    pairs = [(masks.noise(point), masks.mask(point)) for point in range(len(POINTS))]
    return [tuple(None if tensor is None else tensor.clone() for tensor in pair) for pair in pairs]  # type: ignore[misc]


@pytest.mark.parametrize("n_images", [100, 37])
def test_a_lane_draws_the_same_whatever_its_neighbours_draw(n_images: int) -> None:
    masks = make_masks(SOME, ALL, NONE)
    drawn(masks, [8, 9, 10])
    together = drawn(masks, [1, 2, 3], n_images)
    for lane, (rates, seed) in enumerate(((SOME, 1), (ALL, 2), (NONE, 3))):
        for (noise, mask), (expected_noise, expected_mask) in zip(
            together, drawn(make_masks(rates), [seed], n_images), strict=True
        ):
            assert noise is not None
            assert mask is not None
            assert torch.equal(noise[lane], torch.zeros_like(noise[0]) if expected_noise is None else expected_noise[0])
            assert torch.equal(mask[lane], torch.ones_like(mask[0]) if expected_mask is None else expected_mask[0])
    (later_noise, _), *_ = drawn(masks, [2], n_images, first=1)
    assert later_noise is not None
    assert together[0][0] is not None
    assert torch.equal(later_noise[0], together[0][0][1])


def test_nothing_is_drawn_when_every_rate_is_zero() -> None:
    masks = make_masks(NONE, NONE)
    assert drawn(masks, [1, 2]) == [(None, None)] * 3
    generator = Generator().manual_seed(5)
    before = generator.get_state()
    masks.draw(slice(0, 2), [generator, generator], 100)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.999, 1 - 1e-9])
def test_masks_drop_their_share_and_keep_the_mean(rate: float) -> None:
    masks = make_masks(Rates(noise=[0.0] * 3, dropout=[0.0, 0.0, rate]), batch_size=100_000)
    mask = drawn(masks, [1], 100_000)[2][1]
    assert mask is not None
    assert float((mask == 0).double().mean()) == pytest.approx(rate, abs=0.003)
    if rate < 0.9:
        assert float(mask.double().mean()) == pytest.approx(1, abs=0.01)
    factors = set(mask[mask != 0].tolist())
    assert len(factors) <= 1
    assert all(math.isfinite(value) for value in factors)


def test_noise_has_its_standard_deviation_and_differs_from_step_to_step() -> None:
    masks = make_masks(ALL, batch_size=2000)
    noise = [pair[0] for pair in drawn(masks, [1], 2000)]
    for found, std in zip(noise, ALL.noise, strict=True):
        assert found is not None
        assert float(found.std()) == pytest.approx(std, rel=0.05)
        assert float(found.mean()) == pytest.approx(0, abs=0.05 * std)
    generator = Generator().manual_seed(1)
    masks.draw(slice(0, 1), [generator], 2000)
    masks.draw(slice(0, 1), [generator], 2000)
    second = masks.noise(0)
    assert second is not None
    assert noise[0] is not None
    assert not torch.equal(second, noise[0])
