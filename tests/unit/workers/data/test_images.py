"""Pixels of image files as people have them: transparent ones, grey beside coloured ones, files with several frames."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.schemas.study.data import Dataset
from workers.data.images import LabelledImages
from workers.data.train_split import load_train
from workers.errors import DatasetError
from workers.final_test.test_split import load_test

DATASET = Dataset(name="image_folder", path="mine", image_size=8)
N = 10


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def train(root: Path) -> LabelledImages:
    return load_train(DATASET, root, download=False)


def of_class(data: LabelledImages, label: int) -> torch.Tensor:
    shown: torch.Tensor = data.images[data.labels == label].unique(dim=0)  # type: ignore[no-untyped-call]
    return shown


def black_on_nothing(mode: str, rows: slice) -> Image.Image:
    """An image all of whose pixels are black, and whose shape is in its transparency alone."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[rows, :, 3] = 255
    image = Image.fromarray(pixels)
    return image.quantize(4) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize(("mode", "n_channels"), [("RGBA", 3), ("P", 3), ("LA", 1)])
def test_what_is_transparent_becomes_white(tmp_path: Path, mode: str, n_channels: int) -> None:
    for number in range(N):
        save(black_on_nothing(mode, slice(0, 2)), tmp_path / f"mine/high/{number}.png")
        save(black_on_nothing(mode, slice(6, 8)), tmp_path / f"mine/low/{number}.png")
    data = train(tmp_path)
    assert f"kinds: 16 {mode}" in data.notes
    for label, rows in enumerate((slice(0, 2), slice(6, 8))):
        expected = torch.full((1, n_channels, 8, 8), 255, dtype=torch.uint8)
        expected[:, :, rows] = 0
        torch.testing.assert_close(of_class(data, label), expected)


@pytest.mark.parametrize("grey", ["train/a/0", "train/b/9", "val/a/0", "test/a/0"])
def test_a_grey_image_takes_no_colour_from_the_others_in_any_split(tmp_path: Path, grey: str) -> None:
    for split in ("train", "val", "test"):
        for name, colour in (("a", (200, 0, 0)), ("b", (0, 0, 200))):
            for number in range(N):
                path = f"{split}/{name}/{number}"
                save(
                    Image.new("L", (8, 8), 60) if path == grey else Image.new("RGB", (8, 8), colour),
                    tmp_path / f"mine/{path}.png",
                )
    for data in (train(tmp_path), load_test(DATASET, tmp_path, download=False)):
        assert data.images.shape[1] == 3
        colours = {tuple(pixel) for pixel in data.images[:, :, 0, 0].tolist()}
        assert {(200, 0, 0), (0, 0, 200)} <= colours <= {(200, 0, 0), (0, 0, 200), (60, 60, 60)}


def test_grey_images_stay_grey_beside_a_damaged_one(tmp_path: Path) -> None:
    for name in "ab":
        for number in range(N):
            save(Image.new("L", (8, 8), number), tmp_path / f"mine/{name}/{number}.png")
    (tmp_path / "mine/a/0.png").write_bytes(b"damaged")
    data = load_train(DATASET.model_copy(update={"on_bad_image": "skip"}), tmp_path, download=False)
    assert data.images.shape[1] == 1


def test_of_several_frames_the_first_is_taken_and_this_is_told(tmp_path: Path) -> None:
    for name, shade in (("a", 40), ("b", 80)):
        for number in range(N):
            path = tmp_path / f"mine/{name}/{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), shade).save(path, save_all=True, append_images=[Image.new("L", (8, 8), 255)])
    data = train(tmp_path)
    assert data.notes == "test: 4 images; kinds: 16 L (first of several frames)"
    assert set(data.images.flatten().tolist()) == {40, 80}


def write_classes(folder: Path) -> None:
    for name in "ab":
        for number in range(N):
            save(Image.new("L", (8, 8), number), folder / name / f"{number}.png")


def test_a_circle_of_links_makes_no_copies_of_images(tmp_path: Path) -> None:
    write_classes(tmp_path / "mine")
    (tmp_path / "mine/a/again").symlink_to(".")
    data = train(tmp_path)
    assert data.labels.bincount().tolist() == [8, 8]
    assert data.notes == "test: 4 images; kinds: 16 L"


def test_a_link_to_images_elsewhere_is_followed(tmp_path: Path) -> None:
    write_classes(tmp_path / "mine")
    for number in range(N):
        save(Image.new("L", (8, 8), 99), tmp_path / f"elsewhere/{number}.png")
    (tmp_path / "mine/a/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine/c").symlink_to(tmp_path / "elsewhere")
    data = train(tmp_path)
    assert data.labels.bincount().tolist() == [16, 8, 8]


@pytest.mark.parametrize(("link", "target"), [("val", "test"), ("test", "train"), ("train/c", "b")])
def test_two_splits_or_classes_that_are_one_folder_are_refused(tmp_path: Path, link: str, target: str) -> None:
    for split in {"train", "test"} - {link}:
        write_classes(tmp_path / "mine" / split)
    (tmp_path / "mine" / link).symlink_to(target)
    with pytest.raises(DatasetError, match="must be two folders: they lead to the same one"):
        train(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode elsewhere")
def test_what_is_told_of_names_that_are_no_unicode_is_unicode(tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in (b"caf\xe9", b"caf\xe8")]
    for number, name in enumerate(names):
        for copy in range(N):
            save(Image.new("L", (8, 8), number), tmp_path / f"mine/{name}/{name}{copy}.png")
        (tmp_path / f"mine/{name}/notes.{name}").touch()
    data = train(tmp_path)
    assert data.class_names == (r"caf\udce8", r"caf\udce9")
    assert r"left out: 1 .caf\udce8, 1 .caf\udce9" in data.notes
    assert data.labels.bincount().tolist() == [8, 8]
