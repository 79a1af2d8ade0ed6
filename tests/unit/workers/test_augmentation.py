from typing import get_args

import pytest
import torch
from torch import Generator

from workers.augmentation import Augment, change, crop, cut_out, draw_changes, parts_of

IMAGES = torch.randint(1, 256, (64, 3, 8, 8), dtype=torch.uint8, generator=Generator().manual_seed(0))
KINDS: tuple[Augment, ...] = get_args(Augment)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def changed(kind: Augment, seed: int = 0) -> torch.Tensor:
    return change(IMAGES, draw_changes(kind, 64, (3, 8, 8), seeded(seed)), parts_of(kind))


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    flipped = changed("flip")
    same = (flipped == IMAGES).flatten(1).all(1)
    mirrored = (flipped == IMAGES.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


def test_crop_shifts_each_image_by_at_most_the_padding_and_fills_with_black() -> None:
    cropped = changed("crop")
    padded = torch.nn.functional.pad(IMAGES, (1, 1, 1, 1))
    shifts = [(y, x) for y in range(3) for x in range(3)]
    found = set()
    for image, whole in zip(cropped, padded, strict=True):
        matches = [(y, x) for y, x in shifts if torch.equal(image, whole[:, y : y + 8, x : x + 8])]
        assert len(matches) == 1
        found.add(matches[0])
    assert len(found) == 9


def test_cutout_blackens_a_square_around_its_middle_and_no_more() -> None:
    images = torch.full((3, 1, 16, 16), 9, dtype=torch.uint8)
    cut = cut_out(images, torch.tensor([8, 0, -100]), torch.tensor([5, 0, -100]))
    assert bool((cut[0, 0, 7:10, 4:7] == 0).all())
    assert [int((image == 0).sum()) for image in cut] == [9, 4, 0]


def test_kinds_are_their_parts() -> None:
    both = change(changed("crop"), draw_changes("crop_flip", 64, (3, 8, 8), seeded()), frozenset({"flip"}))
    assert torch.equal(changed("crop_flip"), both)
    assert parts_of("crop_flip_cutout") == {"crop", "flip", "cutout"}


@pytest.mark.parametrize("kind", KINDS)
def test_changes_depend_on_the_generator_alone(kind: Augment) -> None:
    torch.manual_seed(1)
    first = changed(kind, 3)
    torch.manual_seed(2)
    assert torch.equal(changed(kind, 3), first)
    assert torch.equal(changed(kind, 4), first) == (kind == "none")
    assert first.dtype == torch.uint8
    assert first.shape == IMAGES.shape


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_does_not_name_changes_nothing(kind: Augment) -> None:
    """So that lanes of several kinds share a batch."""
    changes = draw_changes(kind, 64, (3, 8, 8), seeded())
    assert torch.equal(change(IMAGES, changes, parts_of("crop_flip_cutout")), changed(kind))


def test_the_images_given_are_left_as_they_are() -> None:
    before = IMAGES.clone()
    changed("crop_flip_cutout")
    crop(IMAGES, torch.zeros(64, dtype=torch.int64), torch.zeros(64, dtype=torch.int64))
    assert torch.equal(IMAGES, before)
