"""Images that this machine cannot read are no damaged ones: they are never skipped."""

import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.schemas.study.data import Dataset
from workers.data.images import common_mode, read_files
from workers.data.train_split import load_train
from workers.errors import DatasetError

SKIPPING = Dataset(name="image_folder", path="mine", image_size=8, on_bad_image="skip")


def write(root: Path) -> None:
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(root / name / f"{number}.png")


def point_to_what_is_not_mounted(path: Path) -> None:
    path.unlink()
    path.symlink_to("/no-such-mount/image.png")


def fail_to_be_read(path: Path) -> None:
    """The kernel answers EIO to a read of memory that a process does not have."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def be_in_a_circle_of_links(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "not mounted": (point_to_what_is_not_mounted, "No such file or directory"),
    "input/output error": (fail_to_be_read, "Input/output error"),
    "links": (be_in_a_circle_of_links, "Too many levels of symbolic links"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", ["train", "test"])
def test_an_image_that_cannot_be_read_here_is_not_skipped(tmp_path: Path, fault: str, place: str) -> None:
    make, reason = FAULTS[fault]
    for split in ("train", "test"):
        write(tmp_path / "mine" / split)
    path = tmp_path / "mine" / place / "bee/3.png"
    make(path)

    with pytest.raises(DatasetError, match=f"{path} cannot be read on this machine: {reason}"):
        load_train(SKIPPING, tmp_path, download=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_image_without_permission_is_not_skipped(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    (tmp_path / "mine/ant/3.png").chmod(0)

    with pytest.raises(DatasetError, match=r"ant/3\.png cannot be read on this machine: Permission denied"):
        load_train(SKIPPING, tmp_path, download=False)


@pytest.mark.parametrize("read", [common_mode, lambda files: read_files(files, 8, "L", skip_bad=True)])
def test_a_process_without_free_file_descriptors_skips_nothing(
    tmp_path: Path, read: Callable[[list[Path]], object]
) -> None:
    write(tmp_path / "mine")
    files = sorted(tmp_path.glob("mine/*/*.png"))
    read(files)  # with all plugins of Pillow imported
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(DatasetError, match=r"0\.png cannot be read on this machine: Too many open files"):
            read(files)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("error", [MemoryError(), OSError("out of memory error when reading image file")])
def test_memory_that_runs_out_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Memory cannot be made to run out for an image alone, so Pillow says here that it did."""
    write(tmp_path / "mine")
    load = Image.Image.resize

    def resize(image: Image.Image, *given: object, **named: object) -> Image.Image:
        if image.getpixel((0, 0)) == 3:
            raise error
        return load(image, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", resize)
    with pytest.raises(DatasetError, match=r"ant/3\.png cannot be read on this machine: "):
        load_train(SKIPPING, tmp_path, download=False)


def test_what_is_wrong_with_a_file_itself_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    (tmp_path / "mine/ant/3.png").write_bytes(b"")
    (tmp_path / "mine/bee/4.png").write_bytes((tmp_path / "mine/bee/5.png").read_bytes()[:40])
    (tmp_path / "mine/bee/6.tif").write_bytes(b"II*\0" + (2**31).to_bytes(4, "little"))

    with pytest.raises(DatasetError, match="3 of 21 images cannot be read"):
        read_files(sorted(tmp_path.glob("mine/*/*")), 8, "L", skip_bad=False)
    _, rows, text = read_files(sorted(tmp_path.glob("mine/*/*")), 8, "L", skip_bad=True)

    assert len(rows) == 18
    assert "skipped: 3 of 21 images cannot be read: " in text


def test_a_pipe_is_not_waited_for_and_its_name_is_told(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    os.mkfifo(tmp_path / "mine/ant/pipe.png")

    told = r"1 of 17 images cannot be read: .*/mine/ant/pipe\.png: it is not a regular file"
    with pytest.raises(DatasetError, match=told):
        load_train(Dataset(name="image_folder", path="mine", image_size=8), tmp_path, download=False)
    train = load_train(SKIPPING, tmp_path, download=False)
    assert len(train.labels) == 16
    assert re.search(f"skipped: {told}$", train.notes)


def test_a_file_that_is_no_image_is_named_once(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    path = tmp_path / "mine/ant/page.png"
    path.write_text("<svg/>")
    with pytest.raises(DatasetError) as raised:
        load_train(Dataset(name="image_folder", path="mine", image_size=8), tmp_path, download=False)
    problem = "it is not an image, or of a format that Pillow does not read"
    assert str(raised.value) == f"1 of 17 images cannot be read: {path}: {problem}"
