from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from workers.augmentation import Augment, augment, crop, flip

IMAGES = torch.randint(1, 256, (64, 3, 8, 8), dtype=torch.uint8, generator=Generator().manual_seed(0))


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    flipped = flip(IMAGES, seeded())
    same = (flipped == IMAGES).flatten(1).all(1)
    mirrored = (flipped == IMAGES.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


def test_crop_shifts_each_image_by_at_most_the_padding_and_fills_with_black() -> None:
    cropped = crop(IMAGES, 2, seeded())
    padded = torch.nn.functional.pad(IMAGES, (2, 2, 2, 2))
    shifts = [(y, x) for y in range(5) for x in range(5)]
    found = set()
    for image, whole in zip(cropped, padded, strict=True):
        matches = [(y, x) for y, x in shifts if torch.equal(image, whole[:, y : y + 8, x : x + 8])]
        assert len(matches) == 1
        found.add(matches[0])
    assert len(found) > 15


@pytest.mark.parametrize("kind", ["flip", "crop", "crop_flip"])
def test_changes_depend_on_the_generator_alone(kind: Augment) -> None:
    torch.manual_seed(1)
    first = augment(IMAGES, kind, seeded(3))
    torch.manual_seed(2)
    assert torch.equal(augment(IMAGES, kind, seeded(3)), first)
    assert not torch.equal(augment(IMAGES, kind, seeded(4)), first)
    assert first.dtype == torch.uint8
    assert first.shape == IMAGES.shape


def test_none_changes_nothing() -> None:
    assert augment(IMAGES, "none", seeded()) is IMAGES


@pytest.mark.parametrize("change", [flip, lambda images, generator: crop(images, 1, generator)])
def test_the_images_given_are_left_as_they_are(change: Callable[[Tensor, Generator], Tensor]) -> None:
    before = IMAGES.clone()
    change(IMAGES, seeded())
    assert torch.equal(IMAGES, before)
