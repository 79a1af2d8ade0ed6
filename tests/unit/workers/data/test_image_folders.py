"""Folders of images as people have them: splits under many names, files that are no images, and damaged ones."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from service.schemas.study.data import Dataset
from workers.data.train_split import load_train
from workers.data.trial_data import TrialData, prepare_data
from workers.errors import DatasetError
from workers.final_test.test_split import load_test

CPU = torch.device("cpu")
SHADES = {"ant": 40, "bee": 120, "cat": 200}


def write(folder: Path, n: int = 10, names: tuple[str, ...] = tuple(SHADES), suffix: str = ".png") -> None:
    """Write `n` images of each class, all of its own shade."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            Image.new("RGB", (8, 8), (SHADES[name], number, 0)).save(folder / name / f"{number:02}{suffix}")


def dataset(**fields: Any) -> Dataset:
    return Dataset(name="image_folder", path="mine", image_size=8, **fields)


def prepared(root: Path, **fields: Any) -> TrialData:
    return prepare_data(dataset(**fields), root, CPU, download=False)


def shades(images: torch.Tensor) -> set[int]:
    return set(images[:, 0].flatten().tolist())


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
@pytest.mark.parametrize("train", ["train", "Train", "training"])
def test_a_validation_split_is_validated_with(tmp_path: Path, train: str, validation: str) -> None:
    write(tmp_path / "mine" / train, 10)
    write(tmp_path / "mine" / validation, 4)
    write(tmp_path / "mine" / "test", 3)
    data = prepared(tmp_path)
    assert data.n_classes == 3
    assert data.labels[data.train].bincount().tolist() == [10, 10, 10]
    assert data.labels[data.validation].bincount().tolist() == [4, 4, 4]
    assert load_test(dataset(), tmp_path, False).labels.bincount().tolist() == [3, 3, 3]


def test_of_a_given_split_n_train_draws_from_train_alone(tmp_path: Path) -> None:
    write(tmp_path / "mine/train", 10)
    write(tmp_path / "mine/val", 4)
    data = prepared(tmp_path, n_train=9)
    assert data.labels[data.train].bincount().tolist() == [3, 3, 3]
    assert data.labels[data.validation].bincount().tolist() == [4, 4, 4]
    assert not set(data.train.tolist()) & set(data.validation.tolist())
    with pytest.raises(DatasetError, match="n_train=25, images=24"):
        prepared(tmp_path, n_train=25)


@pytest.mark.parametrize("others", [(), ("val",)])
def test_without_a_test_split_a_fifth_of_train_is_the_test_part(tmp_path: Path, others: tuple[str, ...]) -> None:
    write(tmp_path / "mine/train", 10)
    for name in others:
        write(tmp_path / "mine" / name, 4)
    train, test = load_train(dataset(), tmp_path, False), load_test(dataset(), tmp_path, False)
    assert test.labels.bincount().tolist() == [2, 2, 2]
    seen = train.images[: len(train.labels) - train.n_validation]
    keys = [tuple(pixel) for pixel in torch.cat([seen, test.images])[:, :2, 0, 0].tolist()]
    assert len(set(keys)) == len(keys) == 30


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        (("train/ant", "train/bee", "val/ant", "valid/ant"), "one folder for validation: it has val and valid"),
        (("val/ant", "val/bee", "test/ant", "test/bee"), "must have a folder train beside test, val"),
        (("car/ant", "train/ant", "bus/ant"), "train would be splits, bus, car a class"),
        (("train/ant", "test/ant", "test/owl"), "owl is only in"),
        (("ant",), "at least two folders, one for each class"),
        (("train/ant", "val/ant"), "at least two folders, one for each class"),
        ((), "at least two folders, one for each class"),
        (("ant", "bee"), r"must have more images than the test part takes of it: not \['(ant|bee)'\]"),
    ],
)
def test_what_can_be_understood_in_several_ways_is_refused(
    tmp_path: Path, folders: tuple[str, ...], problem: str
) -> None:
    (tmp_path / "mine").mkdir()
    for name in folders:
        (tmp_path / "mine" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "mine" / name / "0.png")
    with pytest.raises(DatasetError, match=problem):
        load_train(dataset(), tmp_path, False)


def test_folders_without_images_do_not_matter_beside_splits(tmp_path: Path) -> None:
    write(tmp_path / "mine/train")
    (tmp_path / "mine/notes").mkdir()
    (tmp_path / "mine/notes/readme.txt").touch()
    assert load_train(dataset(), tmp_path, False).n_classes == 3


def test_a_folder_of_a_class_that_cannot_be_read_is_an_error_and_not_fewer_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mine")
    (tmp_path / "mine/bee/more").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match=r"Permission denied: '.*mine/bee/more'"):
        load_train(dataset(), tmp_path, False)


def test_hidden_names_and_what_macos_adds_are_no_data(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    for name in (".ipynb_checkpoints/0.png", "__MACOSX/0.png", "ant/.cache/0.png", "ant/._00.png", "bee/.DS_Store"):
        path = tmp_path / "mine" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no image")
    train = load_train(dataset(), tmp_path, False)
    assert train.class_names == ("ant", "bee", "cat")
    assert "left out" not in train.notes


def test_what_is_left_out_is_counted_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "mine")
    for number in range(3):
        (tmp_path / "mine/ant" / f"{number}.gif").touch()
    (tmp_path / "mine/bee/notes.TXT").touch()
    with caplog.at_level(logging.INFO, "narrows.worker"):
        data = prepared(tmp_path)
    assert data.description == (
        "images of 3x8x8 in 3 classes; train: 19 (ant 6, bee 6, cat 7); validation: 5 (ant 2, bee 2, cat 1); "
        "test: 6 images; left out: 3 .gif, 1 .txt; kinds: 24 RGB"
    )
    assert caplog.messages == [f"{tmp_path / 'mine'}: {data.description}"]


def test_a_class_of_which_all_is_left_out_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    for path in (tmp_path / "mine/cat").iterdir():
        path.rename(path.with_suffix(".gif"))
    with pytest.raises(DatasetError, match=r"none of \['cat'\] \(left out: 10 \.gif\)"):
        load_train(dataset(), tmp_path, False)


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint16, 65535), (np.int32, 65535), (np.float32, 1.0)])
def test_images_of_more_bits_are_scaled(tmp_path: Path, dtype: Any, highest: float) -> None:
    for share, name in ((0.0, "ant"), (0.2, "bee"), (1.0, "cat")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(5):
            pixels = np.full((8, 8), share * highest).astype(dtype)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{number}.tiff")
    train = load_train(dataset(), tmp_path, False)
    assert train.images.shape == (12, 1, 8, 8)
    for label, value in enumerate((0, 51, 255)):
        assert shades(train.images[train.labels == label]) == {value}


@pytest.mark.parametrize(("kind", "value"), [(np.float32, 200.0), (np.float32, np.nan), (np.int32, -1)])
def test_numbers_of_which_nobody_knows_the_scale_are_refused(tmp_path: Path, kind: Any, value: float) -> None:
    write(tmp_path / "mine")
    Image.fromarray(np.full((8, 8), value).astype(kind)).save(tmp_path / "mine/ant/strange.tiff")
    with pytest.raises(DatasetError, match=r"strange\.tiff: pixels of mode . must be from 0 to"):
        load_train(dataset(), tmp_path, False)


def test_images_are_turned_as_their_exif_orientation_says(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    shutil.rmtree(tmp_path / "mine/ant")
    (tmp_path / "mine/ant").mkdir()
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x112] = 3
    for number in range(5):
        Image.fromarray(pixels).save(tmp_path / "mine/ant" / f"{number}.png", exif=exif)
    train = load_train(dataset(), tmp_path, False)
    turned = train.images[train.labels == 0]
    assert (shades(turned[:, :, :4]), shades(turned[:, :, 4:])) == ({0}, {255})


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_every_damaged_image_is_named_before_anything_trains(tmp_path: Path, part: str) -> None:
    for name in ("train", "val", "test"):
        write(tmp_path / "mine" / name)
    damage(tmp_path / "mine" / part / "ant/03.png")
    (tmp_path / "mine" / part / "cat/05.png").write_bytes(b"")
    with pytest.raises(DatasetError) as error:
        load_train(dataset(), tmp_path, False)
    assert f"{part}/ant/03.png: " in str(error.value)
    assert f"{part}/cat/05.png: " in str(error.value)
    assert "2 of " in str(error.value)
    assert "\n" not in str(error.value)


def test_an_image_that_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine/train")
    Image.new("L", (100, 100)).save(tmp_path / "mine/train/bee/huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DatasetError, match=r"bee/huge\.png: Image size \(10000 pixels\)"):
        load_train(dataset(), tmp_path, False)


def test_damaged_images_are_skipped_if_the_study_says_so(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        write(tmp_path / "mine" / name)
        damage(tmp_path / "mine" / name / "ant/03.png")
    data = prepared(tmp_path, on_bad_image="skip")
    assert data.labels[data.train].bincount().tolist() == [9, 10, 10]
    assert data.labels[data.validation].bincount().tolist() == [9, 10, 10]
    for label, shade in enumerate(SHADES.values()):
        assert shades(data.images[data.labels == label]) == {shade}
    assert f"; skipped: 2 of 60 images cannot be read: {tmp_path / 'mine/train/ant/03.png'}: " in data.description
    assert load_test(dataset(on_bad_image="skip"), tmp_path, False).labels.bincount().tolist() == [9, 10, 10]


def test_a_class_of_which_all_is_skipped_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    for path in (tmp_path / "mine/cat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"that can be read: none of \['cat'\]"):
        load_train(dataset(on_bad_image="skip"), tmp_path, False)


def test_many_damaged_images_are_counted_and_some_are_named(tmp_path: Path) -> None:
    write(tmp_path / "mine/train")
    for path in sorted((tmp_path / "mine/train/cat").iterdir())[:9]:
        path.write_bytes(b"")
    (tmp_path / "mine/test").mkdir()
    with pytest.raises(DatasetError, match=r"9 of 30 images cannot be read: .*04\.png: .*; and 4 more"):
        load_train(dataset(), tmp_path, False)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_skipping_is_for_folders_of_images(name: str) -> None:
    with pytest.raises(ValueError, match="on_bad_image is for image_folder and flowers only"):
        Dataset(name=name, on_bad_image="skip")
