"""Files of MNIST and CIFAR: the same numbers, names and checks that torchvision has, without importing it."""

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.data.published_files import CIFAR_SETS, IDX_SETS, read_cifar_files, read_idx_files

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder: Path, images: bytes, labels: bytes) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(images)
    (folder / "train-labels-idx1-ubyte").write_bytes(labels)


def test_the_names_of_folders_and_classes_and_the_sums_are_those_of_torchvision() -> None:
    from torchvision import datasets

    for idx_set in IDX_SETS.values():
        assert list(idx_set.classes) == getattr(datasets, idx_set.folder).classes
    for cifar in CIFAR_SETS.values():
        kind = getattr(datasets, cifar.kind)
        assert [[*item] for item in cifar.train.items()] == kind.train_list
        assert [[*item] for item in cifar.test.items()] == kind.test_list
        assert cifar.folder == kind.base_folder
        assert {"filename": cifar.meta[0], "md5": cifar.meta[1], "key": cifar.names_key} == kind.meta


def test_an_idx_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, idx(IMAGES), idx(np.array([7, 255], dtype=np.uint8)))
    images, labels = read_idx_files(tmp_path, "train")
    assert torch.equal(images, torch.from_numpy(IMAGES).unsqueeze(1))
    assert (labels.tolist(), labels.dtype) == ([7, 255], torch.int64)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"", b"", "train-images-idx3-ubyte is no IDX file with bytes in 3 dimensions"),
        (idx(IMAGES[0]), b"", "train-images-idx3-ubyte is no IDX file with bytes in 3 dimensions"),
        (idx(IMAGES)[:-1], b"", "train-images-idx3-ubyte has 23 bytes of data instead of 24"),
        (idx(IMAGES) + b"x", b"", "train-images-idx3-ubyte has 25 bytes of data instead of 24"),
        (idx(IMAGES), b"\0\0\x0d\1", "train-labels-idx1-ubyte is no IDX file with bytes in 1 dimensions"),
        (idx(IMAGES), idx(np.zeros(3, dtype=np.uint8)), "there are 2 images and 3 labels"),
    ],
)
def test_a_damaged_idx_file_is_named(images: bytes, labels: bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path, images, labels)
    with pytest.raises(ValueError, match=message):
        read_idx_files(tmp_path, "train")


def test_a_cifar_file_that_is_not_the_published_one_is_never_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "loaded",)

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": Evil()}))
    with pytest.raises(RuntimeError, match="data_batch_1 is not the published file"):
        read_cifar_files(CIFAR_SETS["cifar10"], tmp_path, train=True)
    assert not (tmp_path / "loaded").exists()


@pytest.mark.processes
@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST/raw"), ("cifar10", "cifar-10-batches-py")])
def test_reading_imports_no_torchvision(name: str, folder: str, find_data: Callable[[str], Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from service.schemas.study.data import Dataset;"
        "from workers.data.train_split import load_train;"
        f"load_train(Dataset(name={name!r}), Path({str(find_data(folder))!r}), True);"
        "sys.exit('torchvision' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
