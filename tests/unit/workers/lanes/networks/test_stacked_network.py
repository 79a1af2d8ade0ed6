"""Noise and dropout over lanes: each lane's own share and deviation, whole channels of images, none in evaluation."""

import math

import pytest
import torch
from torch import Generator

from workers.lanes.networks.stacked_network import ActiveLanes, LaneDropout, LaneNoise
from workers.lanes.random_masks import NoisePoint, RandomMasks, Rates

N_IMAGES = 400
INPUT = NoisePoint(noise_size=1, mask_size=1)
RATES = (0.1, 0.5)
DEVIATIONS = (0.3, 2.0)


def two_lanes(shape: tuple[int, ...], *, whole_channels: bool) -> ActiveLanes:
    """Two lanes that have drawn their noise and masks at point 1, for features of a shape."""
    size = math.prod(shape)
    point = NoisePoint(noise_size=size, mask_size=shape[0] if whole_channels else size)
    masks = RandomMasks([INPUT, point], 2, N_IMAGES, torch.zeros(0))
    masks.set_rates([Rates([0.0, std], [0.0, rate]) for std, rate in zip(DEVIATIONS, RATES, strict=True)])
    masks.draw(slice(0, 2), [Generator().manual_seed(lane) for lane in range(2)], N_IMAGES)
    return ActiveLanes(2, masks=masks)


@pytest.mark.parametrize("shape", [(50, 2, 2), (50,)], ids=["images", "units"])
def test_each_lane_drops_its_share_and_keeps_the_mean(shape: tuple[int, ...]) -> None:
    ones = torch.ones(N_IMAGES, 2 * shape[0], *shape[1:])
    dropped = LaneDropout(1, two_lanes(shape, whole_channels=len(shape) > 1))(ones)
    for lane, rate in zip(dropped.split(shape[0], 1), RATES, strict=True):
        assert float((lane == 0).float().mean()) == pytest.approx(rate, abs=0.02)
        assert float(lane.max()) == pytest.approx(1 / (1 - rate), rel=1e-4)


def test_whole_channels_of_images_are_dropped() -> None:
    shape = (50, 2, 2)
    dropped = LaneDropout(1, two_lanes(shape, whole_channels=True))(torch.ones(N_IMAGES, 100, 2, 2))
    per_channel = (dropped == 0).flatten(2).float().mean(2)
    assert bool(((per_channel == 0) | (per_channel == 1)).all())


def test_each_lane_adds_noise_of_its_deviation() -> None:
    shape = (50, 2, 2)
    noise = LaneNoise(1, two_lanes(shape, whole_channels=True))(torch.zeros(N_IMAGES, 100, 2, 2))
    for lane, deviation in zip(noise.split(50, 1), DEVIATIONS, strict=True):
        assert float(lane.std()) == pytest.approx(deviation, rel=0.02)
        assert float(lane.mean()) == pytest.approx(0.0, abs=0.02 * deviation)


@pytest.mark.parametrize("kind", [LaneDropout, LaneNoise])
def test_noise_and_dropout_are_off_in_evaluation(kind: type[LaneDropout | LaneNoise]) -> None:
    layer = kind(1, two_lanes((50, 2, 2), whole_channels=True))
    features = torch.ones(N_IMAGES, 100, 2, 2)
    assert not torch.equal(layer(features), features)
    assert torch.equal(layer.eval()(features), features)
