from typing import get_args

import pytest
import torch
from torch import Generator

from service.schemas.study.data import Augment, Dataset
from workers.data.augmentation import crop, crop_and_flip, cut_out, draw_changes, hole_side, parts_of
from workers.data.batches import ImageBatches
from workers.data.trial_data import TrialData, channel_statistics

IMAGES = torch.randint(1, 256, (64, 3, 8, 8), dtype=torch.uint8, generator=Generator().manual_seed(0))
ROWS = torch.arange(64)
DATA = TrialData(IMAGES, ROWS % 2, ROWS, ROWS, *channel_statistics(IMAGES, ROWS), 2)
KINDS: tuple[Augment, ...] = get_args(Augment)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def drawn(kind: Augment, seed: int = 0) -> torch.Tensor:
    return draw_changes(kind, 64, (3, 8, 8), seeded(seed))


def moved(kind: Augment, seed: int = 0) -> torch.Tensor:
    return crop_and_flip(IMAGES, drawn(kind, seed), parts_of(kind))


def changed(changes: torch.Tensor, kind: Augment) -> torch.Tensor:
    """Return the augmented images as a lane loads them, normalized."""
    return ImageBatches(DATA, torch.float32).load(ROWS, changes, parts_of(kind))


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    flipped = moved("flip")
    same = (flipped == IMAGES).flatten(1).all(1)
    mirrored = (flipped == IMAGES.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


def test_crop_shifts_each_image_by_at_most_the_padding_and_fills_with_black() -> None:
    cropped = moved("crop")
    padded = torch.nn.functional.pad(IMAGES, (1, 1, 1, 1))
    shifts = [(y, x) for y in range(3) for x in range(3)]
    found = set()
    for image, whole in zip(cropped, padded, strict=True):
        matches = [(y, x) for y, x in shifts if torch.equal(image, whole[:, y : y + 8, x : x + 8])]
        assert len(matches) == 1
        found.add(matches[0])
    assert len(found) == 9


def cut_out_one_by_one(images: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
    """As DeVries and Taylor's own code has it (uoguelph-mlrg/Cutout): clipped corners around the middle, one image."""
    cut, (height, width) = images.clone(), images.shape[2:]
    half = min(height, width) // 2 // 2
    for image, row, column in zip(cut, changes[3].tolist(), changes[4].tolist(), strict=True):
        top, bottom = max(row - half, 0), min(row + half, height)
        left, right = max(column - half, 0), min(column + half, width)
        image[:, top:bottom, left:right] = 0
    return cut


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 8, 8), (3, 16, 40), (3, 40, 16)], ids=str)
def test_cutout_equals_the_authors_code_image_by_image(shape: tuple[int, int, int]) -> None:
    images = torch.randn(256, *shape, generator=seeded())
    changes = draw_changes("cutout", 256, shape, seeded(1))
    expected = cut_out_one_by_one(images, changes)
    assert torch.equal(cut_out(images, changes[3], changes[4]), expected)
    n_zeros = (expected[:, 0] == 0).flatten(1).sum(1)
    assert int(n_zeros.max()) == hole_side(*shape[1:]) ** 2
    assert int(n_zeros.min()) < int(n_zeros.max())  # some were cut off at the border


def test_a_hole_is_half_of_the_shorter_side_and_its_middle_is_anywhere() -> None:
    assert hole_side(32, 32) == 16
    assert hole_side(40, 16) == 8
    middles = draw_changes("cutout", 4096, (3, 4, 6), seeded())[3:]
    assert [sorted(set(row.tolist())) for row in middles] == [list(range(4)), list(range(6))]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "cutout" in kind])
def test_cutout_comes_last_and_leaves_the_mean(kind: Augment) -> None:
    """Zero after normalization, around what crop and flip have made of an image."""
    changes = drawn(kind)
    before = changed(changes, "crop_flip").clone()
    after = changed(changes, kind)
    assert torch.equal(after, cut_out_one_by_one(before, changes))
    assert not torch.equal(after, before)


WITHOUT_CUTOUT: list[tuple[Augment, Augment]] = [
    ("cutout", "none"),
    ("crop_cutout", "crop"),
    ("flip_cutout", "flip"),
    ("crop_flip_cutout", "crop_flip"),
]


@pytest.mark.parametrize(("kind", "without"), WITHOUT_CUTOUT)
def test_cutout_leaves_the_draws_of_the_other_parts_as_they_are(kind: Augment, without: Augment) -> None:
    assert torch.equal(drawn(kind)[:3], drawn(without)[:3])


def test_kinds_are_their_parts() -> None:
    both = crop_and_flip(moved("crop"), drawn("crop_flip"), frozenset({"flip"}))
    assert torch.equal(moved("crop_flip"), both)
    assert parts_of("crop_flip_cutout") == {"crop", "flip", "cutout"}


def test_the_schema_allows_every_kind_of_augmentation() -> None:
    assert get_args(Dataset.model_fields["augment"].annotation) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_changes_depend_only_on_the_generator(kind: Augment) -> None:
    torch.manual_seed(1)
    first = changed(drawn(kind, 3), kind).clone()
    torch.manual_seed(2)
    assert torch.equal(changed(drawn(kind, 3), kind), first)
    assert torch.equal(changed(drawn(kind, 4), kind), first) == (kind == "none")
    assert first.shape == IMAGES.shape


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_a_kind_lacks_change_nothing(kind: Augment) -> None:
    """Therefore lanes of several kinds can share a batch."""
    changes = drawn(kind)
    assert torch.equal(changed(changes, "crop_flip_cutout"), changed(changes, kind))


def test_the_given_images_do_not_change() -> None:
    before = IMAGES.clone()
    changed(drawn("crop_flip_cutout"), "crop_flip_cutout")
    crop(IMAGES, torch.zeros(64, dtype=torch.int64), torch.zeros(64, dtype=torch.int64))
    assert torch.equal(IMAGES, before)
